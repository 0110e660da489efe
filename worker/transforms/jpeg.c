/* Negate a Huffman-coded JPEG (ITU-T T.81) in its entropy-coded data, without a transform.

   The additional bits of -v are the ones' complement of those of v, under the same Huffman symbol
   (F.1.2): AC coefficients and DC differences are negated by XOR. 255 - x is -x - 1 after the level
   shift (A.3.1): a constant on the DC of brightness-like components. It cancels in differences, so
   only the first DC of a restart interval is coded anew: DC' = -DC - round(8 / Q0).
   Progressive (G.1): AC scans likewise, correction bits as they are. The constant carries through
   the bits of successive approximation, so all DC are read first, then DC scans are written anew.

   Nothing is kept between calls. Input is read through a window and output written through a
   buffer; both are checked once a block for more than a block can take. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DONE, DAMAGED, TRUNCATED, UNSUPPORTED, NO_CODE, NO_SPACE, NO_MEMORY, WRITE_FAILED };
enum { SEQUENTIAL, DC_FIRST, DC_REFINE, AC_FIRST, AC_REFINE };
enum { WINDOW = 32768, BLOCK = 512, LOOK = 9, RUNS = 11, MOST_SCANS = 200 };
#define INLINE static inline __attribute__((always_inline))
#define TRY(call) do { int rc_ = (call); if (rc_) return rc_; } while (0)

/* ---- bits in: a window of entropy-coded bytes, stuffing (B.1.1.5) taken out */

typedef struct { uint64_t bits; int count; const uint8_t *at; } reader;

typedef struct {
    const uint8_t *next, *end; /* what is not yet in the window */
    int ended;                 /* a marker, or the file's end, follows the window */
    reader r;
    const uint8_t *limit; /* zeros follow it */
    uint8_t window[WINDOW + 2 * BLOCK];
} source;

static void fill(source *s) {
    size_t kept = (size_t)(s->limit - s->r.at);
    memmove(s->window, s->r.at, kept);
    s->r.at = s->window;
    uint8_t *to = s->window + kept, *full = s->window + WINDOW;
    while (to < full && !s->ended) {
        size_t length = (size_t)(s->end - s->next);
        if (length > (size_t)(full - to)) length = (size_t)(full - to);
        const uint8_t *ff = length ? memchr(s->next, 0xFF, length) : NULL;
        if (ff) length = (size_t)(ff - s->next);
        memcpy(to, s->next, length);
        to += length;
        s->next += length;
        if (s->next == s->end || (ff && (s->end - ff < 2 || ff[1]))) s->ended = 1;
        else if (ff && to < full) *to++ = 0xFF, s->next += 2;
    }
    memset(to, 0, BLOCK);
    s->limit = to;
}

static void open_source(source *s, const uint8_t *at, const uint8_t *end) {
    s->next = at;
    s->end = end;
    s->ended = 0;
    s->r.bits = 0;
    s->r.count = 0;
    s->r.at = s->limit = s->window;
    fill(s);
}

/* Bits past the limit were made up. */
INLINE int overrun(const source *s) {
    return (s->r.at - s->limit) * 8 > s->r.count;
}

INLINE void refill(reader *r) { /* to at least 56 bits */
    uint64_t more;
    memcpy(&more, r->at, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    more = __builtin_bswap64(more);
#endif
    r->bits |= more >> r->count;
    r->at += (63 - r->count) >> 3;
    r->count |= 56;
}

INLINE void drop(reader *r, int n) {
    r->bits <<= n;
    r->count -= n;
}

/* ---- bits out */

typedef struct { uint64_t bits; int count; uint8_t *at; } writer;

typedef struct {
    uint8_t *buffer, *limit;
    int descriptor; /* where a full buffer goes; below 0: nowhere */
    size_t flushed;
    writer w;
} sink;

static int flush(sink *o) {
    if (o->descriptor < 0) return NO_SPACE;
    for (uint8_t *from = o->buffer; from < o->w.at;) {
        ssize_t n = write(o->descriptor, from, (size_t)(o->w.at - from));
        if (n < 0 && errno != EINTR) return WRITE_FAILED;
        if (n > 0) from += n, o->flushed += (size_t)n;
    }
    o->w.at = o->buffer;
    return DONE;
}

static int emit(sink *o, const uint8_t *from, size_t length) {
    while (length) {
        if (o->w.at == o->limit) TRY(flush(o));
        size_t part = (size_t)(o->limit - o->w.at);
        if (part > length) part = length;
        memcpy(o->w.at, from, part);
        o->w.at += part;
        from += part;
        length -= part;
    }
    return DONE;
}

INLINE int room(sink *o) {
    return o->limit - o->w.at < 2 * BLOCK + 16 ? flush(o) : DONE;
}

static void put_byte(writer *w, uint8_t byte) {
    *w->at++ = byte;
    if (byte == 0xFF) *w->at++ = 0;
}

INLINE void put(writer *w, uint64_t bits, int n) { /* n <= 32 */
    w->bits = w->bits << n | bits;
    w->count += n;
    if (w->count < 32) return;
    w->count -= 32;
    uint32_t word = (uint32_t)(w->bits >> w->count), inverse = ~word;
    if ((inverse - 0x01010101u) & word & 0x80808080u) {
        for (int shift = 24; shift >= 0; shift -= 8) put_byte(w, (uint8_t)(word >> shift));
        return;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    memcpy(w->at, &word, 4);
    w->at += 4;
}

static void pad(writer *w, int ones) { /* F.1.2.3: with 1-bits; we do as the input did */
    int n = -w->count & 7;
    put(w, ones ? (1u << n) - 1 : 0, n);
    for (; w->count > 0; w->count -= 8) put_byte(w, (uint8_t)(w->bits >> (w->count - 8)));
    w->bits = 0;
}

/* ---- Huffman tables (C.2, F.2.2.3) */

typedef struct { uint32_t flip; uint8_t length, coefficients, ends; } run; /* several symbols */

typedef struct {
    int defined, runs_ready;
    int32_t mincode[17], maxcode[17], valptr[17];
    uint8_t huffval[256], ehufsi[256];
    uint16_t ehufco[256];
    uint16_t look[1 << LOOK]; /* length << 8 | value */
    run runs[1 << RUNS];
} table;

static int define(table *t, const uint8_t *bits, const uint8_t *values, int count) {
    memset(t->look, 0, sizeof t->look);
    memset(t->ehufsi, 0, sizeof t->ehufsi);
    memcpy(t->huffval, values, (size_t)count);
    t->defined = 1;
    t->runs_ready = 0;
    for (int length = 1, code = 0, k = 0; length <= 16; length++, code <<= 1) {
        t->mincode[length] = code;
        t->valptr[length] = k;
        for (int i = 0; i < bits[length - 1]; i++, k++, code++) {
            if (code >= 1 << length) return DAMAGED;
            t->ehufco[values[k]] = (uint16_t)code;
            t->ehufsi[values[k]] = (uint8_t)length;
            for (int f = 0; length <= LOOK && f < 1 << (LOOK - length); f++)
                t->look[(code << (LOOK - length)) + f] = (uint16_t)(length << 8 | values[k]);
        }
        t->maxcode[length] = code - 1;
    }
    return DONE;
}

/* length << 8 | value of the code at the top of bits; 0: none */
INLINE int symbol(const table *t, uint64_t bits) {
    int found = t->look[bits >> (64 - LOOK)];
    if (found) return found;
    for (int length = 1; length <= 16; length++) {
        int code = (int)(bits >> (64 - length));
        if (code >= t->mincode[length] && code <= t->maxcode[length])
            return length << 8 | t->huffval[t->valptr[length] + code - t->mincode[length]];
    }
    return 0;
}

/* For each RUNS bits: the whole AC symbols in them, and the additional bits to flip. */
static void make_runs(table *t) {
    for (uint32_t i = 0; i < 1u << RUNS && !t->runs_ready; i++) {
        run entry = {0, 0, 0, 0};
        int used = 0, k = 0;
        while (used < RUNS && k < 63 && !entry.ends) {
            int found = symbol(t, (uint64_t)i << (64 - RUNS) << used);
            int length = found >> 8, zeros = found >> 4 & 15, size = found & 15;
            if (!found || length > RUNS - used || used + length + size > 32) break;
            if (!size && zeros && zeros != 15) break;
            used += length + size;
            if (size) entry.flip |= ((1u << size) - 1) << (32 - used);
            entry.ends = !size && !zeros;
            k += entry.ends ? 0 : zeros + 1;
        }
        entry.length = (uint8_t)used;
        entry.coefficients = (uint8_t)k;
        t->runs[i] = entry;
    }
    t->runs_ready = 1;
}

/* A DHT segment with table K.3, which has a code for every size of a DC difference. */
static const uint8_t k3[33] = {0xFF, 0xC4, 0, 31, 0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0,
                               0,    0,    0, 0,  0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* ---- the image */

typedef struct {
    int id, h, v, tq;
    int constant, known; /* what is taken from -DC; whether it has been worked out */
    int8_t low[64];      /* G.1.1.1.2: Al of the last scan, by coefficient; -1: none yet */
    size_t across, down, stride; /* blocks of a scan of its own; blocks in a row of MCUs */
    int16_t *dc;                 /* progressive: all DC, in their order in `stride` */
    uint64_t *nonzero;           /* progressive: AC so far, a bit each in zigzag order */
} component;

typedef struct {
    source in;
    sink out;
    const uint8_t *at, *end;
    int collecting, anew, progressive, scans, interval, jfif, adobe;
    int width, height, n, h_most, v_most, q0[4];
    size_t mcus_across, mcus_down, body;
    component components[4];
    table dc[4], ac[4], standard;
} jpeg;

typedef struct { component *c; const table *dc, *code, *ac; int h, v, prediction, first; } part;
typedef struct { int kind, start, stop, high, low, n, run; part parts[4]; } scan;

static int word(const uint8_t *p) { return p[0] << 8 | p[1]; }

INLINE int put_difference(writer *w, const table *t, int value) {
    int size = value ? 32 - __builtin_clz((unsigned)(value < 0 ? -value : value)) : 0;
    if (size > 11 || !t->ehufsi[size]) return NO_CODE;
    put(w, t->ehufco[size], t->ehufsi[size]);
    if (size) put(w, (unsigned)(value - (value < 0)) & ((1u << size) - 1), size);
    return DONE;
}

/* The difference (F.2.2.1) at the top of bits, below a code of `length`. */
INLINE int extend(uint64_t bits, int length, int size) {
    if (!size) return 0;
    int value = (int)(bits << length >> (64 - size));
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/* ---- one block of each kind of scan */

INLINE int sequential_block(reader *r, writer *w, part *p) {
    refill(r);
    int found = symbol(p->dc, r->bits), length = found >> 8, size = found & 255;
    if (!found || size > 11) return DAMAGED;
    if ((p->first && p->c->constant) || p->code != p->dc) {
        int value = -extend(r->bits, length, size) - (p->first ? p->c->constant : 0);
        TRY(put_difference(w, p->code, value));
    } else {
        put(w, (r->bits >> (64 - length - size)) ^ ((1u << size) - 1), length + size);
    }
    p->first = 0;
    drop(r, length + size);
    for (int k = 1; k < 64;) {
        refill(r);
        const run *runs = &p->ac->runs[r->bits >> (64 - RUNS)];
        if (__builtin_expect(runs->length && k + runs->coefficients <= 64, 1)) {
            put(w, (r->bits ^ (uint64_t)runs->flip << 32) >> (64 - runs->length), runs->length);
            drop(r, runs->length);
            k += runs->coefficients;
            if (runs->ends) break;
            continue;
        }
        found = symbol(p->ac, r->bits), length = found >> 8, size = found & 15;
        int zeros = found >> 4 & 15;
        if (!found || (!size && zeros && zeros != 15)) return DAMAGED;
        put(w, (r->bits >> (64 - length - size)) ^ ((1u << size) - 1), length + size);
        drop(r, length + size);
        if (!size && !zeros) break;
        k += zeros + 1;
        if (k > 64) return DAMAGED;
    }
    return DONE;
}

INLINE int ac_first_block(reader *r, writer *w, scan *s, part *p, uint64_t *nonzero) {
    for (int k = s->start; !s->run && k <= s->stop;) {
        refill(r);
        int found = symbol(p->ac, r->bits), length = found >> 8;
        int zeros = found >> 4 & 15, size = found & 15;
        if (!found) return DAMAGED;
        if (size) {
            put(w, (r->bits >> (64 - length - size)) ^ ((1u << size) - 1), length + size);
            drop(r, length + size);
            k += zeros;
            if (k > s->stop) return DAMAGED;
            *nonzero |= (uint64_t)1 << k++;
        } else {
            int more = zeros == 15 ? 0 : zeros; /* G.1.2.2: EOBn */
            put(w, r->bits >> (64 - length - more), length + more);
            if (zeros == 15) k += 16;
            else s->run = (1 << more) + (more ? (int)(r->bits << length >> (64 - more)) : 0);
            drop(r, length + more);
        }
    }
    if (s->run) s->run--;
    return DONE;
}

static void copy_bits(reader *r, writer *w, int n) {
    for (int part; n; n -= part) {
        part = n < 32 ? n : 32;
        refill(r);
        put(w, r->bits >> (64 - part), part);
        drop(r, part);
    }
}

INLINE int ac_refine_block(reader *r, writer *w, scan *s, part *p, uint64_t *nonzero) {
    uint64_t band = (~(uint64_t)0 >> (63 - s->stop)) & (~(uint64_t)0 << s->start), fresh = 0;
    while (!s->run && band) { /* band: coefficients this block has not come to */
        refill(r);
        int found = symbol(p->ac, r->bits), length = found >> 8;
        int zeros = found >> 4 & 15, size = found & 15;
        if (!found || size > 1) return DAMAGED;
        int more = size ? 1 : zeros == 15 ? 0 : zeros;
        put(w, (r->bits >> (64 - length - more)) ^ (unsigned)size, length + more);
        if (!size && zeros != 15)
            s->run = (1 << more) + (more ? (int)(r->bits << length >> (64 - more)) : 0);
        drop(r, length + more);
        if (s->run) break;
        uint64_t clear = band & ~*nonzero; /* G.1.2.3: only zero history counts */
        while (zeros-- && clear) clear &= clear - 1;
        if (!clear) return DAMAGED;
        uint64_t bit = clear & -clear;
        copy_bits(r, w, __builtin_popcountll(band & *nonzero & (bit - 1)));
        band &= ~(bit | (bit - 1));
        if (size) fresh |= bit;
    }
    if (s->run) {
        copy_bits(r, w, __builtin_popcountll(band & *nonzero));
        s->run--;
    } else { /* the corrections after the last new coefficient have been copied with it */
        copy_bits(r, w, 0);
    }
    *nonzero |= fresh;
    return DONE;
}
