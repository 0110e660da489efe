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

/* The bytes of a row from `from` to `to`. */
static void average(uint8_t *row, size_t from, size_t to, size_t bpp, size_t colors,
                    const uint8_t *left, const uint8_t *above, int first) {
    for (size_t i = from; i < to; i++) {
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
INLINE void decode(const uint8_t *row, size_t from, size_t to, size_t bpp, int filter,
                   const uint8_t *above, uint8_t *into) {
    for (size_t i = from; i < to; i++) {
        int a = i < bpp ? 0 : into[i - bpp], b = above[i], c = i < bpp ? 0 : above[i - bpp];
        int predicted = filter == SUB       ? a
                        : filter == UP      ? b
                        : filter == AVERAGE ? (a + b) / 2
                        : filter == PAETH   ? paeth(a, b, c)
                                            : 0;
        into[i] = (uint8_t)(row[i] + predicted);
    }
}

static void decode_row(const uint8_t *row, size_t from, size_t to, size_t bpp, int filter,
                       const uint8_t *above, uint8_t *into) {
#define DECODE(n, f) case n * 8 + f: decode(row, from, to, n, f, above, into); break;
#define DECODES(n) DECODE(n, NONE) DECODE(n, SUB) DECODE(n, UP) DECODE(n, AVERAGE) DECODE(n, PAETH)
    switch (bpp * 8 + (size_t)filter) {
        DECODES(1) DECODES(2) DECODES(3) DECODES(4) DECODES(6) DECODES(8)
    }
}

typedef struct {
    size_t rows, length; /* bytes of a row without its filter */
} Pass;

/* The rows of a picture, pass by pass (W3C PNG, 8). */
typedef struct {
    Pass passes[7];
    size_t count, current; /* of passes */
    size_t row, at;        /* in the pass and in the row, whose filter is byte 0 */
    size_t bpp, colors;
    int filter;
    uint8_t *decoded; /* two rows, the first of them the decoded row above; NULL: none */
} Rows;

/* Bytes of memory that the rows of a picture need. */
size_t png_size(void) { return sizeof(Rows); }

/* Prepare the rows of a picture in zeroed memory.

   bpp: bytes of a whole pixel, 1 at least; colors: those of them that are not alpha; decoded: two
   of the longest rows, zeroed; NULL as long as no row needs it: the answer to an Average then is
   NEEDS_DECODED. */
void png_start(Rows *rows, const Pass *passes, size_t count, size_t bpp, size_t colors,
               uint8_t *decoded) {
    memcpy(rows->passes, passes, count * sizeof *passes);
    rows->count = count;
    rows->bpp = bpp;
    rows->colors = colors;
    rows->decoded = decoded;
}

/* Whether all rows are there. */
int png_is_whole(const Rows *rows) { return rows->current == rows->count; }

static void next_row(Rows *rows) {
    size_t length = rows->passes[rows->current].length;
    if (rows->decoded) memcpy(rows->decoded, rows->decoded + length, length);
    rows->at = 0;
    if (++rows->row < rows->passes[rows->current].rows) return;
    rows->row = 0;
    if (++rows->current < rows->count && rows->decoded)
        memset(rows->decoded, 0, rows->passes[rows->current].length);
}

/* Negate a part of a row, which begins with the byte `from`. */
static void negate_part(Rows *rows, const uint8_t *before, uint8_t *after, size_t count) {
    size_t length = rows->passes[rows->current].length, from = rows->at - 1, to = from + count;
    int first = !rows->row, filter = rows->filter;
    uint8_t *above = rows->decoded, *current = above ? above + length : NULL;
    if (above) decode_row(before - from, from, to, rows->bpp, filter, above, current);
    if (filter == AVERAGE) {
        average(after - from, from, to, rows->bpp, rows->colors, current, above, first);
        return;
    }
    uint8_t pattern[16];
    for (size_t i = 0; i < 16; i++) pattern[i] = i % rows->bpp < rows->colors ? 0xFF : 0;
    uint64_t color = rows->colors == rows->bpp ? ~(uint64_t)0 : load(pattern + from % 8);
    change(after, count, color, filter != NONE && !(filter == UP && first));
    if (filter == SUB || (filter == PAETH && first))
        for (size_t i = from; i < rows->colors && i < to; i++) after[i - from]--;
}

/* Negate the next bytes of the rows in place, for deflate.c. */
int png_change(void *context, const uint8_t *before, uint8_t *after, size_t count) {
    Rows *rows = context;
    for (size_t part; count; before += part, after += part, count -= part) {
        if (png_is_whole(rows)) return DAMAGED;
        if (!rows->at) {
            rows->filter = *before;
            if (rows->filter > PAETH) return DAMAGED;
            if (rows->filter == AVERAGE && rows->row && !rows->decoded) return NEEDS_DECODED;
            part = rows->at = 1;
            continue;
        }
        size_t left = rows->passes[rows->current].length + 1 - rows->at;
        part = count < left ? count : left;
        negate_part(rows, before, after, part);
        rows->at += part;
        if (part == left) next_row(rows);
    }
    return DONE;
}

/* Where the sub-blocks at `at` end (GIF89a, 15 and 16), after their terminator; 0: they do not. */
size_t gif_blocks(const uint8_t *data, size_t size, size_t at) {
    while (at < size && data[at]) at += (size_t)data[at] + 1;
    return at < size ? at + 1 : 0;
}
