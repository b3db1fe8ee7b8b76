// Where windows lie on images (N, height, width, channels): a `Window` of xpnn/window.py with its counts.
// A block takes one line of images at a time and its threads walk along the line, so that neighbours read and write
// neighbouring numbers, and no division is needed to find the image.

#include "common.cuh"

#define WINDOW \
    Int lines, Int height, Int width, Int channels, Int rows, Int columns, Int kh, Int kw, Int sh, Int sw, Int top, \
        Int left, Int dh, Int dw
#define WINDOW_VALUES height, width, channels, rows, columns, kh, kw, sh, sw, top, left, dh, dw

struct Window {
    int height, width, channels, rows, columns, kh, kw, sh, sw, top, left, dh, dw;
    __device__ Window(Int height, Int width, Int channels, Int rows, Int columns, Int kh, Int kw, Int sh, Int sw, Int top,
                      Int left, Int dh, Int dw)
        : height(height), width(width), channels(channels), rows(rows), columns(columns), kh(kh), kw(kw), sh(sh), sw(sw),
          top(top), left(left), dh(dh), dw(dw) {}
    // The image row that tap a of the windows of row i meets; below 0 or from `height` on it is padding.
    __device__ int row(int i, int a) const { return i * sh + a * dh - top; }
    __device__ int column(int j, int b) const { return j * sw + b * dw - left; }
    // The other way round: the row of windows whose tap a meets image row r, or a number below 0.
    __device__ int row_of(int r, int a) const { return which(r + top - a * dh, sh, rows); }
    __device__ int column_of(int q, int b) const { return which(q + left - b * dw, sw, columns); }
    __device__ bool inside(int r, int q) const { return 0 <= r && r < height && 0 <= q && q < width; }
    // Counts packs as channels, if they divide them and lie where packs may lie.
    __device__ bool pack(const real* x, const real* y) {
        bool fits = aligned(x, y) && channels % LANES == 0;
        if (fits) channels /= LANES;
        return fits;
    }

  private:
    __device__ static int which(int place, int stride, int count) {
        if (place % stride != 0 || place / stride >= count) return -1;
        return place / stride;
    }
};
