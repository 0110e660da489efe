/* Negate filtered scanlines (W3C PNG, 9.2), and step over the data blocks of a GIF.

   With x' = 255 - x and neighbours that are complemented likewise, a filtered byte becomes: None,
   its complement; Sub, Up, Paeth, its negative mod 256; Average, its negative plus the lowest bit
   of left + above (decoded), since halves are rounded down. Neighbours outside the image stay 0:
   Sub and Paeth in the first pixel and Up in the first row are None there; Average with one
   neighbour is 128 less the byte. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DONE, DAMAGED, NEEDS_DECODED };
enum { NONE, SUB, UP, AVERAGE, PAETH };
#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t load(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* color: which of eight bytes are colors, not alpha. */
INLINE uint64_t changed(uint64_t x, uint64_t color, int negate) {
    const uint64_t sevens = 0x7F7F7F7F7F7F7F7F, one = 0x0101010101010101;
    uint64_t y = ~x;
    if (negate) y = ((y & sevens) + one) ^ (y & ~sevens);
    return (x & ~color) | (y & color);
}

static void change(uint8_t *row, size_t length, uint64_t color, int negate) {
    size_t whole = length & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t x = changed(load(row + i), color, negate);
        memcpy(row + i, &x, 8);
    }
    uint64_t x = 0;
    memcpy(&x, row + whole, length - whole);
    x = changed(x, color, negate);
    memcpy(row + whole, &x, length - whole);
}

static void average(uint8_t *row, size_t length, size_t bpp, size_t colors, const uint8_t *left,
                    const uint8_t *above, int first) {
    for (size_t i = 0; i < length; i++) {
        if (i % bpp >= colors) continue;
        if (i < bpp && first) row[i] = (uint8_t)~row[i];
        else if (i < bpp || first) row[i] = (uint8_t)(128 - row[i]);
        else row[i] = (uint8_t)(((left[i - bpp] ^ above[i]) & 1) - row[i]);
    }
}

INLINE uint8_t paeth(int a, int b, int c) {
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    int best = pb < pa ? b : a, least = pb < pa ? pb : pa;
    return (uint8_t)(pc < least ? c : best);
}

/* above: the decoded row above; row: filtered; into: the decoded row. */
INLINE void decode(const uint8_t *row, size_t length, size_t bpp, int filter, const uint8_t *above,
                   uint8_t *into) {
    for (size_t i = 0; i < length; i++) {
        int a = i < bpp ? 0 : into[i - bpp], b = above[i], c = i < bpp ? 0 : above[i - bpp];
        int predicted = filter == SUB       ? a
                        : filter == UP      ? b
                        : filter == AVERAGE ? (a + b) / 2
                        : filter == PAETH   ? paeth(a, b, c)
                                            : 0;
        into[i] = (uint8_t)(row[i] + predicted);
    }
}

static void decode_row(const uint8_t *row, size_t length, size_t bpp, int filter,
                       const uint8_t *above, uint8_t *into) {
#define DECODE(n, f) case n * 8 + f: decode(row, length, n, f, above, into); break;
#define DECODES(n) DECODE(n, NONE) DECODE(n, SUB) DECODE(n, UP) DECODE(n, AVERAGE) DECODE(n, PAETH)
    switch (bpp * 8 + (size_t)filter) {
        DECODES(1) DECODES(2) DECODES(3) DECODES(4) DECODES(6) DECODES(8)
    }
}

/* Negate `count` rows, each a filter byte and `length` bytes, in place.

   bpp: bytes of a whole pixel, 1 at least; colors: those of them that are not alpha; first:
   whether the first row is the image's (or pass's). decoded: two rows, the first of them the
   decoded row above (zeros at first), kept up to date; NULL as long as no row needs it: the
   answer to an Average then is NEEDS_DECODED. */
int png_negate(uint8_t *rows, size_t count, size_t length, size_t bpp, size_t colors, int first,
               uint8_t *decoded) {
    uint8_t pattern[8];
    for (size_t i = 0; i < 8; i++) pattern[i] = i % bpp < colors ? 0xFF : 0;
    uint64_t color = colors == bpp ? ~(uint64_t)0 : load(pattern);
    for (size_t r = 0; r < count; r++, first = 0) {
        uint8_t *row = rows + r * (length + 1) + 1, *current = decoded;
        int filter = row[-1];
        if (filter > PAETH) return DAMAGED;
        if (decoded) {
            current += length;
            decode_row(row, length, bpp, filter, decoded, current);
        } else if (filter == AVERAGE && !first) {
            return NEEDS_DECODED;
        }
        if (filter == AVERAGE) {
            average(row, length, bpp, colors, current, decoded, first);
        } else {
            change(row, length, color, filter != NONE && !(filter == UP && first));
            if (filter == SUB || (filter == PAETH && first))
                for (size_t i = 0; i < colors && i < length; i++) row[i]--;
        }
        if (decoded) memcpy(decoded, current, length);
    }
    return DONE;
}

/* Where the sub-blocks at `at` end (GIF89a, 15 and 16), after their terminator; 0: they do not. */
size_t gif_blocks(const uint8_t *data, size_t size, size_t at) {
    while (at < size && data[at]) at += (size_t)data[at] + 1;
    return at < size ? at + 1 : 0;
}
