/* Complement the samples of TIFF segments; code LZW and PackBits (TIFF 6.0, sections 13 and 9).

   LZW and PackBits treat all bytes alike: where every byte becomes its complement, only the
   literals in the coded data do, and its length stays. With horizontal differencing (section 14) a
   complemented row has the negative differences, after a complemented first pixel.

   Coders keep their state in a struct that the caller allocates, all zeros at first. */

#include <stdint.h>
#include <string.h>

enum { DONE, DAMAGED, FULL, ABOVE_ALPHA };
#define INLINE static inline __attribute__((always_inline))

/* ---- samples */

INLINE uint64_t load(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* Exchange the bytes of each lane of 8, 16 or 32 bits. */
INLINE uint64_t swapped(uint64_t x, int lane) {
    const uint64_t bytes = 0x00FF00FF00FF00FF, words = 0x0000FFFF0000FFFF;
    if (lane > 8) x = (x >> 8 & bytes) | (x & bytes) << 8;
    if (lane > 16) x = (x >> 16 & words) | (x & words) << 16;
    return x;
}

/* tops: the highest bit of each lane, ones: the lowest one. */
INLINE uint64_t negated(uint64_t x, uint64_t mask, int lane, int swap, uint64_t ones) {
    const uint64_t tops = ones << (lane - 1);
    uint64_t y = ~(swap ? swapped(x, lane) : x);
    y = ((y & ~tops) + ones) ^ (y & tops);
    if (swap) y = swapped(y, lane);
    return (x & ~mask) | (y & mask);
}

INLINE void negate_row(uint8_t *row, size_t length, const uint8_t *mask, int lane, int swap) {
    const uint64_t ones = ~(uint64_t)0 / (((uint64_t)1 << lane) - 1);
    size_t whole = length & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t x = negated(load(row + i), load(mask + i), lane, swap, ones);
        memcpy(row + i, &x, 8);
    }
    uint64_t x = 0, last = 0;
    memcpy(&x, row + whole, length - whole);
    memcpy(&last, mask + whole, length - whole);
    x = negated(x, last, lane, swap, ones);
    memcpy(row + whole, &x, length - whole);
}

/* A sample of 1, 2 or 4 bytes. */
INLINE uint32_t sample(const uint8_t *p, int bytes, int big) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint32_t)p[big ? bytes - 1 - i : i] << 8 * i;
    return value;
}

INLINE void store(uint8_t *p, uint32_t value, int bytes, int big) {
    for (int i = 0; i < bytes; i++) p[big ? bytes - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

/* Complement what is set in mask, of rows of `length` bytes. */
void tiff_complement(uint8_t *data, size_t rows, size_t length, const uint8_t *mask) {
    for (uint8_t *row = data; rows--; row += length) {
        size_t whole = length & ~(size_t)7;
        for (size_t i = 0; i < whole; i += 8) {
            uint64_t x = load(row + i) ^ load(mask + i);
            memcpy(row + i, &x, 8);
        }
        for (size_t i = whole; i < length; i++) row[i] ^= mask[i];
    }
}

/* The same for differences of 1, 2 or 4 bytes; mask consists of whole samples. */
void tiff_complement_differences(uint8_t *data, size_t rows, size_t length, const uint8_t *mask,
                                 size_t pixel_bytes, int bytes, int big) {
    int swap = bytes > 1 && big != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    for (uint8_t *row = data; rows--; row += length) {
        if (bytes == 1) negate_row(row, length, mask, 8, 0);
        else if (bytes == 2 && swap) negate_row(row, length, mask, 16, 1);
        else if (bytes == 2) negate_row(row, length, mask, 16, 0);
        else negate_row(row, length, mask, 32, swap);
        for (size_t i = 0; i < pixel_bytes && i < length; i += (size_t)bytes)
            if (mask[i]) store(row + i, sample(row + i, bytes, big) - 1, bytes, big);
    }
}

INLINE int premultiplied_row(uint8_t *row, size_t columns, int bytes, int big, size_t channels,
                             size_t colors, int differences) {
    const uint32_t most = (uint32_t)(((uint64_t)1 << 8 * bytes) - 1);
    size_t pixel_bytes = channels * (size_t)bytes;
    for (size_t c = 0; c < colors; c++) {
        uint8_t *color = row + c * (size_t)bytes, *alpha = row + colors * (size_t)bytes;
        uint32_t c_sum = 0, a_sum = 0;
        for (size_t x = 0; x < columns; x++, color += pixel_bytes, alpha += pixel_bytes) {
            uint32_t value = sample(color, bytes, big), limit = sample(alpha, bytes, big);
            c_sum = differences ? (c_sum + value) & most : value;
            a_sum = differences ? (a_sum + limit) & most : limit;
            if (c_sum > a_sum) return ABOVE_ALPHA;
            store(color, limit - value, bytes, big);
        }
    }
    return DONE;
}

/* Subtract the first `colors` of each pixel's channels from the channel after them, their
   associated alpha (section 18); of differences the same. */
int tiff_complement_premultiplied(uint8_t *data, size_t rows, size_t columns, int bytes, int big,
                                  size_t channels, size_t colors, int differences) {
    size_t length = columns * channels * (size_t)bytes;
    for (uint8_t *row = data; rows--; row += length) {
        int rc = bytes == 1   ? premultiplied_row(row, columns, 1, 0, channels, colors, differences)
                 : bytes == 2 ? premultiplied_row(row, columns, 2, big, channels, colors, differences)
                              : premultiplied_row(row, columns, 4, big, channels, colors, differences);
        if (rc) return rc;
    }
    return DONE;
}

/* ---- LZW */

enum { CLEAR = 256, END = 257, FIRST = 258, CODES = 4096, NONE = -1 };

/* Codes are read from the highest bit of a byte on; before TIFF 6.0 from the lowest one, and their
   width changed one code later. */
typedef struct {
    const uint8_t *data;
    size_t bits, at; /* of the data; where the next code begins */
    int width, old;
} codes;

static void open_codes(codes *c, const uint8_t *data, size_t size, size_t at, int width) {
    *c = (codes){data, size * 8, at, width ? width : 9, 0};
    c->old = size > 1 && !data[0] && data[1] & 1; /* Clear in the old order; no code of the new */
}

/* The next code; END where the data ends. */
INLINE int next_code(codes *c) {
    if (c->bits - c->at < (size_t)c->width) return END;
    const uint8_t *p = c->data + c->at / 8;
    size_t left = (c->bits - c->at + 7) / 8;
    uint32_t shift = c->at % 8, word = (uint32_t)p[0] << 16 | (left > 1 ? p[1] << 8 : 0);
    word |= left > 2 ? p[2] : 0;
    if (c->old) word = (word >> 16 | (word & 0xFF00) | word << 16) & 0xFFFFFF;
    int code = (int)(c->old ? word >> shift : word >> (24 - shift - (uint32_t)c->width));
    c->at += (size_t)c->width;
    return code & ((1 << c->width) - 1);
}

INLINE void widen(codes *c, int next) { /* next: the first code that is not yet defined */
    if (c->width < 12 && next + !c->old >= 1 << c->width) c->width++;
}

/* Complement the literals of coded data, up to `needed` bytes or more of decoded data, counted in
   length. `to` has a copy of the coded data. */
int lzw_complement(const uint8_t *from, size_t size, uint8_t *to, uint64_t needed,
                   uint64_t *length) {
    uint32_t lengths[CODES];
    codes c;
    open_codes(&c, from, size, 0, 0);
    *length = 0;
    for (int i = 0; i < CLEAR; i++) lengths[i] = 1;
    for (int next = FIRST, previous = NONE; *length < needed;) {
        int code = next_code(&c);
        if (code == END) break;
        if (code == CLEAR) {
            next = FIRST, previous = NONE, c.width = 9;
            continue;
        }
        if (code > CLEAR && (previous == NONE || code > next)) return DAMAGED;
        if (code < CLEAR) {
            size_t at = c.old ? c.at - (size_t)c.width : c.at - 8;
            uint8_t *p = to + at / 8;
            int shift = (int)(at % 8);
            p[0] ^= (uint8_t)(c.old ? 0xFF << shift : 0xFF >> shift);
            if (shift) p[1] ^= (uint8_t)(c.old ? 0xFF >> (8 - shift) : 0xFF << (8 - shift));
        }
        if (previous != NONE && next < CODES) {
            lengths[next++] = lengths[previous] + 1;
            widen(&c, next);
        } else if (code >= next) {
            return DAMAGED;
        }
        *length += lengths[code];
        previous = code;
    }
    return DONE;
}

typedef struct {
    size_t at;
    int width, next, previous, ended;
    uint16_t prefix[CODES], length[CODES];
    uint8_t suffix[CODES], first[CODES];
} lzw_decoder;

size_t lzw_decoder_size(void) { return sizeof(lzw_decoder); }

/* Decode until the data ends, or no further code is sure to fit (FULL). */
int lzw_decode(lzw_decoder *d, const uint8_t *from, size_t size, uint8_t *to, size_t room,
               size_t *made) {
    codes c;
    open_codes(&c, from, size, d->at, d->width);
    *made = 0;
    if (!d->width) {
        for (int i = 0; i < CLEAR; i++)
            d->length[i] = 1, d->suffix[i] = d->first[i] = (uint8_t)i;
        d->next = FIRST, d->previous = NONE;
    }
    while (!d->ended && room - *made >= CODES) {
        int code = next_code(&c);
        if (code == END) {
            d->ended = 1;
        } else if (code == CLEAR) {
            d->next = FIRST, d->previous = NONE, c.width = 9;
        } else {
            int previous = d->previous;
            if (code > CLEAR && (previous == NONE || code > d->next)) return DAMAGED;
            if (previous != NONE && d->next < CODES) {
                int next = d->next++;
                d->prefix[next] = (uint16_t)previous;
                d->length[next] = (uint16_t)(d->length[previous] + 1);
                d->first[next] = d->first[previous];
                d->suffix[next] = d->first[code]; /* of code == next: just set */
                widen(&c, d->next);
            } else if (code >= d->next) {
                return DAMAGED;
            }
            size_t length = d->length[code];
            d->previous = code;
            for (uint8_t *p = to + *made + length; code > CLEAR; code = d->prefix[code])
                *--p = d->suffix[code];
            to[*made] = (uint8_t)code;
            *made += length;
        }
    }
    d->at = c.at, d->width = c.width;
    return d->ended ? DONE : FULL;
}

enum { SLOT_BITS = 13, SLOTS = 1 << SLOT_BITS };

typedef struct {
    uint32_t bits;  /* the lowest `count` are not yet written */
    int count, width, next, prefix;
    uint32_t slots[SLOTS]; /* hash table: prefix, suffix and code; 0: free */
} lzw_encoder;

size_t lzw_encoder_size(void) { return sizeof(lzw_encoder); }

INLINE uint8_t *put_code(lzw_encoder *e, uint8_t *to, int code) {
    e->bits = e->bits << e->width | (uint32_t)code;
    e->count += e->width;
    while (e->count >= 8) *to++ = (uint8_t)(e->bits >> (e->count -= 8));
    return to;
}

/* After a code: the decoder's table grows with the next one. Returns where to write. */
INLINE uint8_t *grow(lzw_encoder *e, uint8_t *to) {
    if (++e->next == CODES - 2) { /* as the specification asks */
        to = put_code(e, to, CLEAR);
        memset(e->slots, 0, sizeof e->slots);
        e->next = FIRST, e->width = 9;
    } else if (e->next > (1 << e->width) - 1) {
        e->width++;
    }
    return to;
}

/* Encode; returns the bytes made, at most 2 * size + 8. last: end the data. */
size_t lzw_encode(lzw_encoder *e, const uint8_t *from, size_t size, int last, uint8_t *to) {
    uint8_t *start = to;
    if (!e->width) {
        e->width = 9, e->next = FIRST, e->prefix = NONE;
        to = put_code(e, to, CLEAR);
    }
    for (const uint8_t *end = from + size; from < end; from++) {
        if (e->prefix == NONE) {
            e->prefix = *from;
            continue;
        }
        uint32_t key = (uint32_t)e->prefix << 8 | *from, slot = key * 2654435761u >> (32 - SLOT_BITS);
        while (e->slots[slot] && e->slots[slot] >> 12 != key) slot = (slot + 1) & (SLOTS - 1);
        if (e->slots[slot]) {
            e->prefix = (int)(e->slots[slot] & (CODES - 1));
            continue;
        }
        e->slots[slot] = key << 12 | (uint32_t)e->next;
        to = put_code(e, to, e->prefix);
        to = grow(e, to);
        e->prefix = *from;
    }
    if (last) {
        if (e->prefix != NONE) {
            to = put_code(e, to, e->prefix);
            to = grow(e, to);
        }
        to = put_code(e, to, END);
        if (e->count) *to++ = (uint8_t)(e->bits << (8 - e->count));
    }
    return (size_t)(to - start);
}

/* ---- PackBits */

/* Complement the literals of coded data, up to `needed` bytes or more of decoded data, counted in
   length. */
int packbits_complement(uint8_t *data, size_t size, uint64_t needed, uint64_t *length) {
    *length = 0;
    for (size_t at = 0; at < size && *length < needed;) {
        size_t n = data[at++];
        if (n == 128) continue;
        size_t count = n < 128 ? n + 1 : 257 - n, stored = n < 128 ? count : 1;
        if (stored > size - at) return DAMAGED;
        for (size_t end = at + stored; at < end; at++) data[at] = (uint8_t)~data[at];
        *length += count;
    }
    return DONE;
}

/* Decode from *at on until the data ends, or no further run is sure to fit (FULL). */
int packbits_decode(const uint8_t *from, size_t size, size_t *at, uint8_t *to, size_t room,
                    size_t *made) {
    for (*made = 0; *at < size;) {
        if (room - *made < 128) return FULL;
        size_t n = from[(*at)++];
        if (n == 128) continue;
        size_t count = n < 128 ? n + 1 : 257 - n, stored = n < 128 ? count : 1;
        if (stored > size - *at) return DAMAGED;
        if (stored == count) memcpy(to + *made, from + *at, count);
        else memset(to + *made, from[*at], count);
        *at += stored;
        *made += count;
    }
    return DONE;
}

/* Encode rows, each by itself; returns the bytes made, at most length + length / 128 + 1 a row. */
size_t packbits_encode(const uint8_t *from, size_t rows, size_t length, uint8_t *to) {
    uint8_t *start = to;
    for (; rows--; from += length) {
        for (size_t i = 0; i < length;) {
            size_t most = length - i < 128 ? length - i : 128, n = 1;
            while (n < most && from[i + n] == from[i]) n++;
            if (n > 1) {
                *to++ = (uint8_t)(257 - n);
                *to++ = from[i];
            } else { /* up to three equal bytes: fewer in a run save nothing */
                while (n < most && !(n + 2 < length - i && from[i + n] == from[i + n + 1] &&
                                     from[i + n] == from[i + n + 2]))
                    n++;
                *to++ = (uint8_t)(n - 1);
                memcpy(to, from + i, n);
                to += n;
            }
            i += n;
        }
    }
    return (size_t)(to - start);
}
