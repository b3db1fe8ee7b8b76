// The counter-based hash of xpnn/kernels/counter.py on 32-bit words, which wrap where the reference masks.

#include "common.cuh"

__device__ Word mix(Word x) {
    x = (x ^ (x >> 16)) * 0x21F0AAADu;
    x = (x ^ (x >> 15)) * 0x735A2D97u;
    return x ^ (x >> 15);
}

// The word of a path of integers, one integer below 2^32 longer.
__device__ Word longer(Word path, Word part) {
    path = mix(path ^ mix(part + 0x85EBCA6Bu));
    return mix(path ^ mix(0x85EBCA6Bu));
}

// The stream of a path at a step: element i is mix(a i + b).
struct Stream {
    Word a, b;
    __device__ Stream(Word path, Int tick) {
        Word word = mix((Word)tick + longer(path, 1));
        a = mix(word ^ longer(path, 2)) | 1;
        b = mix(word ^ longer(path, 3));
    }
    __device__ Word operator[](Word i) const { return mix(a * i + b); }
};
