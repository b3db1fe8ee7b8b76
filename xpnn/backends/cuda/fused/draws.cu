// Random numbers of the counter: no state, no memory read but the step. Element i is number first + i of a draw.

#include "counter.cuh"

extern "C" __global__ void uniform(Int path, const Int* tick, Int first, Int n, real* u) {
    Stream words(path, *tick);
    for (int i = first_element(); i < n; i += all_threads()) u[i] = real(words[first + i] >> 8) * real(1.0 / (1 << 24));
}

// keep[i] = u[i] >= rate as whole numbers of 24 bits; four to a thread, written as one word.
extern "C" __global__ void keep_mask(Int path, const Int* tick, Int threshold, Int first, Int n, Byte* keep) {
    Stream words(path, *tick);
    Word least = threshold;
    int fours = n / 4;
    for (int i = first_element(); i < fours; i += all_threads()) {
        Word four = 0;
        for (int k = 0; k < 4; ++k) four |= Word((words[first + 4 * i + k] >> 8) >= least) << 8 * k;
        ((Word*)keep)[i] = four;
    }
    for (int i = 4 * fours + first_element(); i < n; i += all_threads()) keep[i] = (words[first + i] >> 8) >= least;
}

// The sum of the halves of six words, less its mean: a whole number below 2^19.
extern "C" __global__ void normal(Int path, const Int* tick, Int first, Int n, real* y) {
    for (int i = first_element(); i < n; i += all_threads()) {
        int total = -6 * 0xFFFF;
        for (int part = 0; part < 6; ++part) {
            Word word = Stream(longer(path, part), *tick)[first + i];
            total += int(word & 0xFFFF) + int(word >> 16);
        }
        y[i] = real(total) * real(1.0 / (1 << 16));
    }
}
