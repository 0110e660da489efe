/* Complement the samples of TIFF segments; code LZW and PackBits (TIFF 6.0, sections 13 and 9).

   LZW and PackBits treat all bytes alike: where every byte becomes its complement, only the
   literals in the coded data do, and its length stays. With horizontal differencing (section 14) a
   complemented row has the negative differences, after a complemented first pixel.

   Coders keep their state in a struct that the caller allocates, all zeros at first. */

#include <stdint.h>
#include <string.h>

enum { DONE, DAMAGED, FULL, ABOVE_ALPHA };
#define INLINE static inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)

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

enum { CLEAR = 256, END, FIRST, CODES = 4096, NONE = -1 };

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
INLINE uint64_t big_endian(uint64_t x) { return __builtin_bswap64(x); }
INLINE uint64_t little_endian(uint64_t x) { return x; }
#else
INLINE uint64_t big_endian(uint64_t x) { return x; }
INLINE uint64_t little_endian(uint64_t x) { return __builtin_bswap64(x); }
#endif

/* Codes are read from the highest bit of a byte on; before TIFF 6.0 from the lowest one, and their
   width changed one code later (`old`). */
typedef struct {
    const uint8_t *data;
    size_t size, at;  /* at: where the next code begins, in bits */
    int width, next;  /* next: the first code that is not defined; END: not even one was read */
    uint8_t tail[24]; /* the last bytes of the data, and zeros */
} codes;

INLINE void clear_table(codes *c) { c->width = 9, c->next = END; }

static void open_codes(codes *c, const uint8_t *data, size_t size) {
    memset(c, 0, sizeof *c);
    c->data = data, c->size = size;
    size_t last = size < 8 ? size : 8;
    memcpy(c->tail, data + size - last, last);
    clear_table(c);
}

/* A Clear in the old order is no code in the new one. */
static int is_old(const uint8_t *data, size_t size) { return size > 1 && !data[0] && data[1] & 1; }

/* Eight bytes from an offset within the data on; after its end zeros. */
INLINE uint64_t window(const codes *c, size_t at) {
    if (LIKELY(at + 8 <= c->size)) return load(c->data + at);
    return load(c->tail + (c->size < 8 ? at : at + 8 - c->size));
}

/* The next code; END where the data ends. */
INLINE int next_code(codes *c, int old) {
    if (c->at + (size_t)c->width > c->size * 8) return END;
    uint64_t bits = window(c, c->at / 8);
    int shift = c->at % 8;
    c->at += (size_t)c->width;
    if (old) return (int)(little_endian(bits) >> shift) & ((1 << c->width) - 1);
    return (int)(big_endian(bits) << shift >> (64 - c->width));
}

/* The decoder's table grows with each code; in the first one after a Clear there is nothing yet to
   define, and what is put at END does no harm. */
INLINE void grow(codes *c, int old) {
    if (LIKELY(c->next < CODES)) c->next++;
    if (LIKELY(c->next + !old < 1 << c->width)) return;
    if (c->width < 12) c->width++;
}

INLINE int complement_codes(codes *c, int old, uint8_t *to, uint64_t needed, uint64_t *length) {
    uint16_t lengths[CODES + 1] = {0};
    uint64_t made = 0, flips = 0; /* of the eight bytes at `to` */
    size_t flushed = 0;
    for (int i = 0; i < CLEAR; i++) lengths[i] = 1;
    for (int previous = 0, code; made < needed && (code = next_code(c, old)) != END;) {
        size_t at = c->at - (old ? (size_t)c->width : 8) - flushed;
        if (at >= 40) { /* five bytes are complete */
            uint64_t bytes = window(c, flushed / 8) ^ (old ? little_endian(flips) : big_endian(flips));
            memcpy(to + flushed / 8, &bytes, 5);
            flips = old ? flips >> 40 : flips << 40;
            flushed += 40, at -= 40;
        }
        if (code == CLEAR) {
            clear_table(c);
            continue;
        }
        if (code > c->next) return DAMAGED;
        uint64_t literal = (uint64_t)(code - CLEAR) >> 56; /* 0xFF or 0, without a branch */
        flips |= old ? literal << at : literal << 56 >> at;
        lengths[c->next] = (uint16_t)(lengths[previous] + 1);
        grow(c, old);
        made += lengths[code];
        previous = code;
    }
    uint64_t bytes = window(c, flushed / 8) ^ (old ? little_endian(flips) : big_endian(flips));
    size_t rest = flushed / 8, left = c->size - rest;
    memcpy(to + rest, &bytes, left < 8 ? left : 8);
    if (left > 8) memcpy(to + rest + 8, c->data + rest + 8, left - 8); /* behind what is needed */
    *length = made;
    return DONE;
}

/* Complement the literals of coded data, up to `needed` bytes or more of decoded data, counted in
   length. `to` has room for as much. */
int lzw_complement(const uint8_t *from, size_t size, uint8_t *to, uint64_t needed,
                   uint64_t *length) {
    codes c;
    *length = 0;
    open_codes(&c, from, size);
    if (is_old(from, size)) return complement_codes(&c, 1, to, needed, length);
    return complement_codes(&c, 0, to, needed, length);
}

typedef struct {
    codes in;
    int previous, started, ended;
    uint64_t head[CODES + 1]; /* the first eight bytes of a string, the first one lowest */
    uint16_t prefix[CODES + 1], length[CODES + 1];
    uint8_t last[CODES + 1];
} lzw_decoder;

size_t lzw_decoder_size(void) { return sizeof(lzw_decoder); }

INLINE int decode_codes(lzw_decoder *d, codes *c, int old, uint8_t **to, uint8_t *full) {
    uint8_t *at = *to;
    int previous = d->previous, rc = FULL;
    while (at < full) {
        int code = next_code(c, old);
        if (code == END || code > c->next) {
            rc = code == END ? DONE : DAMAGED;
            break;
        }
        if (code == CLEAR) {
            clear_table(c);
            continue;
        }
        size_t length = d->length[previous];
        uint64_t head = d->head[previous];
        uint8_t first = (uint8_t)(code == c->next ? head : d->head[code]);
        d->head[c->next] = length < 8 ? head | (uint64_t)first << 8 * length : head;
        d->prefix[c->next] = (uint16_t)previous;
        d->length[c->next] = (uint16_t)(length + 1);
        d->last[c->next] = first;
        grow(c, old);
        previous = code;
        length = d->length[code];
        head = little_endian(d->head[code]);
        memcpy(at, &head, 8);
        at += length;
        for (uint8_t *p = at; length > 8; length--, code = d->prefix[code]) *--p = d->last[code];
    }
    d->previous = previous;
    *to = at;
    return rc;
}

/* Decode until the data ends, or no further code is sure to fit (FULL); the same data each time. */
int lzw_decode(lzw_decoder *d, const uint8_t *from, size_t size, uint8_t *to, size_t room,
               size_t *made) {
    uint8_t *at = to, *full = to + (room > CODES + 8 ? room - CODES - 8 : 0);
    if (!d->started) {
        d->started = 1;
        open_codes(&d->in, from, size);
        for (int i = 0; i < CLEAR; i++)
            d->length[i] = 1, d->last[i] = (uint8_t)i, d->head[i] = (uint64_t)i;
    }
    codes c = d->in;
    int rc = is_old(from, size) ? decode_codes(d, &c, 1, &at, full)
                                : decode_codes(d, &c, 0, &at, full);
    d->in = c;
    *made = (size_t)(at - to);
    return rc;
}

enum { SLOT_BITS = 15, SLOTS = 1 << SLOT_BITS };

typedef struct {
    uint64_t bits; /* the first `count` are not yet written */
    int count, width, next, prefix;
    uint8_t *at;
} writer;

typedef struct {
    writer out;
    uint32_t slots[SLOTS]; /* hash table: prefix, suffix and code; 0: free */
} lzw_encoder;

size_t lzw_encoder_size(void) { return sizeof(lzw_encoder); }

/* Up to 8 bytes are stored beyond those that are whole. */
INLINE void put(writer *w, int code) {
    w->bits |= (uint64_t)code << (64 - w->width - w->count);
    w->count += w->width;
    uint64_t word = big_endian(w->bits);
    memcpy(w->at, &word, 8);
    w->at += w->count / 8;
    w->bits <<= w->count / 8 * 8;
    w->count %= 8;
}

/* Put the code of a string. A longer one, defined by it, may follow: the table grows. */
INLINE void put_string(writer *w, uint32_t *slots) {
    put(w, w->prefix);
    if (++w->next >= 1 << w->width) w->width++;
    if (w->next < CODES - 2) return;
    put(w, CLEAR); /* here, as the specification asks */
    memset(slots, 0, SLOTS * sizeof *slots);
    w->next = FIRST, w->width = 9;
}

/* Encode in the order of TIFF 6.0; returns the bytes made, at most 2 * size + 8, and needs room
   for 8 more. last: end the data. */
size_t lzw_encode(lzw_encoder *e, const uint8_t *from, size_t size, int last, uint8_t *to) {
    const uint8_t *end = from + size;
    writer w = e->out;
    w.at = to;
    if (!w.width) {
        w.width = 9, w.next = FIRST, w.prefix = NONE;
        put(&w, CLEAR);
    }
    if (w.prefix == NONE && from < end) w.prefix = *from++;
    for (; from < end; from++) {
        uint32_t key = (uint32_t)w.prefix << 8 | *from;
        uint32_t slot = key * 2654435761u >> (32 - SLOT_BITS), found = e->slots[slot];
        while (found && found >> 12 != key) found = e->slots[slot = (slot + 1) % SLOTS];
        if (found) {
            w.prefix = (int)(found % CODES);
        } else {
            e->slots[slot] = key << 12 | (uint32_t)w.next;
            put_string(&w, e->slots);
            w.prefix = *from;
        }
    }
    if (last) {
        if (w.prefix != NONE) put_string(&w, e->slots);
        put(&w, END);
        if (w.count) w.at++;
    }
    e->out = w;
    return (size_t)(w.at - to);
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
