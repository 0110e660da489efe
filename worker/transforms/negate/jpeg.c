/* Negate a Huffman-coded JPEG (ITU-T T.81) in its entropy-coded data, without a transform.

   The additional bits of -v are the ones' complement of those of v, under the same Huffman symbol
   (F.1.2): AC coefficients and DC differences are negated by XOR. 255 - x is -x - 1 after the level
   shift (A.3.1): a constant on the DC of brightness-like components. It cancels in differences, so
   only the first DC of a restart interval is coded anew: DC' = -DC - round(8 / Q0).
   Progressive (G.1): AC scans likewise, correction bits as they are. The constant carries through
   the bits of successive approximation, so all DC are read first, then DC scans are written anew.

   Nothing but tables is kept between calls. Input is read through a window and output written
   through a buffer; both are checked once a block for more than a block can take. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

enum { DONE, DAMAGED, TRUNCATED, UNSUPPORTED, NO_CODE, NO_SPACE, NO_MEMORY, WRITE_FAILED };
enum { LEFT_OVER = 1, SEGMENTS = 2, STRAY = 4 }; /* dropped: see JpegDropped in kernels.py */
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

/* Whether bits past the limit were read: they are invented. */
INLINE int overrun(const source *s, const reader *r) {
    return (r->at - s->limit) * 8 > r->count;
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

INLINE int full(const sink *o, const writer *w) {
    return o->limit - w->at < 2 * BLOCK + 16;
}

static void put_byte(writer *w, uint8_t byte) {
    *w->at++ = byte;
    if (byte == 0xFF) *w->at++ = 0;
}

/* The n <= 56 topmost of bits; eight bytes are stored, of which the whole ones count. */
INLINE void put_top(writer *w, uint64_t bits, int n) {
    uint64_t word = w->bits | (bits & ~(~(uint64_t)0 >> n)) >> w->count;
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    int bytes = (w->count + n) >> 3;
    w->count = (w->count + n) & 7;
    w->bits = word << (8 * bytes);
    if (__builtin_expect(!!((~word - ones) & word & tops), 0)) {
        for (int i = 0; i < bytes; i++) put_byte(w, (uint8_t)(word >> (56 - 8 * i)));
        return;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(w->at, &word, 8);
    w->at += bytes;
}

INLINE void put(writer *w, uint64_t bits, int n) {
    if (n) put_top(w, bits << (64 - n), n);
}

static void pad(writer *w, int ones) { /* F.1.2.3 asks for 1-bits; the input's are kept */
    if (w->count) put(w, ones ? (1u << (8 - w->count)) - 1 : 0, 8 - w->count);
}

/* ---- Huffman tables (C.2, F.2.2.3) */

typedef struct {
    int defined;
    int32_t mincode[17], maxcode[17], valptr[17];
    uint8_t huffval[256], ehufsi[256];
    uint16_t ehufco[256];
    uint16_t look[1 << LOOK]; /* length << 8 | value */
} table;

static int define(table *t, const uint8_t *bits, const uint8_t *values, int count) {
    memset(t, 0, sizeof *t);
    memcpy(t->huffval, values, (size_t)count);
    t->defined = 1;
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
    for (int length = LOOK + 1; length <= 16; length++) {
        int code = (int)(bits >> (64 - length));
        if (code >= t->mincode[length] && code <= t->maxcode[length])
            return length << 8 | t->huffval[t->valptr[length] + code - t->mincode[length]];
    }
    return 0;
}

/* Several symbols: a bit that says whether the block ends, the additional bits to flip, 7 bits for
   their coefficients, 6 for their length. */
typedef uint32_t run;
enum { FLIP = 0x7FFFE000, SUMS = 0x1FFF, COUNT = 6, BLOCK_FULL = 64 << COUNT };
enum { NO_RUN = 127 << COUNT, LONGEST = 18 }; /* more than a block has; three fit into 56 bits */

/* For each RUNS bits: the whole AC symbols in them; where dc is given, a DC difference first. */
static void make_runs(run *runs, const table *dc, const table *ac, int kept) {
    for (uint32_t i = 0; i < 1u << RUNS; i++) {
        uint32_t flip = 0, ends = 0;
        int used = 0, k = 0;
        while (used < RUNS && k < 63 && !ends) {
            const table *t = dc && !k ? dc : ac;
            int found = symbol(t, (uint64_t)i << (64 - RUNS) << used);
            int length = found >> 8, zeros = found >> 4 & 15, size = found & 15;
            if (!found || length > RUNS - used || used + length + size > LONGEST) break;
            if (t == dc ? zeros || size > 11 : !size && zeros && zeros != 15) break;
            used += length + size;
            if (size && !kept) flip |= ((1u << size) - 1) << (31 - used);
            if (t == ac && !size && !zeros) ends = 1u << 31;
            else k += zeros + 1;
        }
        runs[i] = used ? ends | flip | (uint32_t)(k << COUNT | used) : NO_RUN;
    }
}

/* The runs of two tables. The tiles of a TIFF share tables, and making runs takes longer than
   negating a tile: this thread keeps the last ones. */
typedef struct {
    table dc, ac;
    int kept; /* of components that stay: nothing is flipped */
    run runs[2][1 << RUNS]; /* of blocks that begin with a DC difference, and of those within */
} run_set;
enum { RUN_SETS = 4 };
static _Thread_local run_set run_sets[RUN_SETS];

/* used: the sets that the scan has, a bit each. */
static const run_set *find_runs(const table *dc, const table *ac, int kept, unsigned *used) {
    int at = 0;
    while (at < RUN_SETS && (memcmp(&run_sets[at].dc, dc, sizeof *dc) ||
                             memcmp(&run_sets[at].ac, ac, sizeof *ac) ||
                             run_sets[at].kept != kept))
        at++;
    if (at == RUN_SETS) {
        for (at = 0; *used >> at & 1;) at++;
        run_sets[at].dc = *dc, run_sets[at].ac = *ac, run_sets[at].kept = kept;
        make_runs(run_sets[at].runs[0], dc, ac, kept);
        make_runs(run_sets[at].runs[1], NULL, ac, kept);
    }
    *used |= 1u << at;
    return &run_sets[at];
}

/* Tables K.3 to K.6, each 16 counts of codes and their values. Frames of Motion JPEG leave them
   out. K.3 has a code for every size of a DC difference. */
static const uint8_t standard_dc[2][28] = {
    {0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
    {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
};
static const uint8_t standard_ac[2][178] = {
    {0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05,
     0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1,
     0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A,
     0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38,
     0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
     0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
     0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
     0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5,
     0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3,
     0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9,
     0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA},
    {0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05,
     0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42,
     0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24,
     0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37,
     0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57,
     0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77,
     0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95,
     0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3,
     0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA,
     0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8,
     0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA},
};

static int define_standard(table *t, const uint8_t *counts_and_values) {
    int count = 0;
    for (int i = 0; i < 16; i++) count += counts_and_values[i];
    return define(t, counts_and_values, counts_and_values + 16, count);
}

/* ---- the image */

typedef struct {
    int id, h, v, tq;
    int constant, known; /* what is subtracted from -DC; whether it has been computed */
    int8_t low[64];      /* G.1.1.1.2: Al of the last scan, by coefficient; -1: none yet */
    size_t across, down, stride, places; /* blocks of its own scans; in a row of MCUs, in all */
    /* Progressive, in their order in `stride`. bits: while DC are collected, the DC; then a bit
       each for AC that are not 0, in zigzag order, and in the lowest the DC's own lowest one.
       dc: negated, where a scan leaves two bits or more to later ones. */
    uint64_t *bits;
    int *dc;
} component;

typedef struct {
    component *c;
    const table *dc, *code, *ac; /* code: what DC are written by */
    int h, v, prediction, first;  /* first: of the interval */
    int kept;                     /* whether it stays as it is */
} part;
typedef struct { int kind, start, stop, high, low, n, run; part parts[4]; } scan;

/* A block of an MCU. Sequential scans only. */
typedef struct position {
    part *of;
    const run *ac;        /* what follows its DC */
    intptr_t skip, step; /* from those to the next block's first runs, and to its position */
} position;

typedef struct {
    source in;
    sink out;
    const uint8_t *at, *end;
    int collecting, anew, dropped, has_popcnt, progressive, scans, interval, jfif, adobe;
    /* The components that rise with it, a bit each, and from bit 4 on those that stay as they are;
       below 0: as libjpeg decides. */
    int brightness;
    int width, height, n, h_most, v_most, q0[4];
    size_t mcus_across, mcus_down, body;
    component components[4];
    table dc[4], ac[4], standard;
    position positions[10];
    size_t blocks; /* of an MCU */
    run none[1 << RUNS];
} jpeg;

static int word(const uint8_t *p) { return p[0] << 8 | p[1]; }

INLINE int put_difference(writer *w, const table *t, int value) {
    int size = value ? 32 - __builtin_clz((unsigned)(value < 0 ? -value : value)) : 0;
    if (size > 11 || !t->ehufsi[size]) return NO_CODE;
    unsigned additional = (unsigned)(value - (value < 0)) & ((1u << size) - 1);
    put(w, (unsigned)t->ehufco[size] << size | additional, t->ehufsi[size] + size);
    return DONE;
}

/* The difference (F.2.2.1) at the top of bits, below a code of `length`. */
INLINE int extend(uint64_t bits, int length, int size) {
    if (!size) return 0;
    int value = (int)(bits << length >> (64 - size));
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/* ---- blocks of sequential scans (F.2.2) */

/* One symbol of a sequential block; *k: of its coefficient, 64 or more at the block's end. */
static int sequential_symbol(reader *r, writer *w, part *p, unsigned *k) {
    refill(r);
    int found = symbol(*k ? p->ac : p->dc, r->bits), length = found >> 8, size = found & 15;
    unsigned zeros = found >> 4 & 15;
    if (!found) return DAMAGED;
    if (!*k) {
        if (zeros || size > 11) return DAMAGED;
        int value = extend(r->bits, length, size);
        if (!p->kept) value = -value - (p->first ? p->c->constant : 0);
        TRY(put_difference(w, p->code, value));
        p->first = 0;
    } else {
        if (!size && zeros && zeros != 15) return DAMAGED;
        unsigned flips = p->kept ? 0 : (1u << size) - 1;
        put(w, (r->bits >> (64 - length - size)) ^ flips, length + size);
    }
    drop(r, length + size);
    int ends = *k && !size && !zeros;
    *k += zeros + 1;
    if (*k > 64) return DAMAGED;
    if (ends) *k = 64;
    return DONE;
}

/* ---- blocks of progressive scans (G.1.2) */

/* Bits that have been read and are yet to be written: those of an AC scan stay in their place, and
   only some are flipped. */
typedef struct {
    source *in;
    sink *out;
    reader r; /* 56 bits or more, the first `used` of which are done */
    writer w;
    uint64_t flips;
    int used;
} batch;

INLINE int next(batch *b) {
    put_top(&b->w, b->r.bits ^ b->flips, b->used);
    drop(&b->r, b->used);
    b->flips = 0, b->used = 0;
    if (__builtin_expect(b->in->limit - b->r.at < BLOCK, 0)) {
        if (b->in->ended && overrun(b->in, &b->r)) return TRUNCATED;
        b->in->r = b->r;
        if (!b->in->ended) fill(b->in);
        b->r = b->in->r;
    }
    if (__builtin_expect(full(b->out, &b->w), 0)) {
        b->out->w = b->w;
        TRY(flush(b->out));
        b->w = b->out->w;
    }
    refill(&b->r);
    return DONE;
}

INLINE batch begin(jpeg *j) {
    return (batch){&j->in, &j->out, j->in.r, j->out.w, 0, 0};
}

INLINE int end(jpeg *j, batch *b) {
    TRY(next(b));
    j->in.r = b->r;
    j->out.w = b->w;
    return overrun(b->in, &b->r) ? TRUNCATED : DONE;
}

INLINE int copy(batch *b, int n) {
    while (b->used + n > 56) {
        n -= 56 - b->used;
        b->used = 56;
        TRY(next(b));
    }
    b->used += n;
    return DONE;
}

/* EOBn: the blocks that end, this one included. Takes the code and the bits after it. */
INLINE int end_of_bands(batch *b, int length, int more) {
    uint64_t bits = b->r.bits << b->used << length;
    b->used += length + more;
    return (1 << more) + (more ? (int)(bits >> (64 - more)) : 0);
}

/* Blocks that lie side by side; nonzero: their coefficients that are not 0, a bit each. */
static __attribute__((noinline)) int ac_first(jpeg *j, scan *s, uint64_t *nonzero, size_t count) {
    const table *t = s->parts->ac;
    int start = s->start, stop = s->stop;
    size_t run = (size_t)s->run;
    batch b = begin(j);
    TRY(next(&b));
    for (uint64_t *last = nonzero + count; nonzero < last; nonzero++) {
        uint64_t fresh = 0;
        for (int k = start; !run && k <= stop;) {
            if (b.used > 25) TRY(next(&b));
            int found = symbol(t, b.r.bits << b.used), length = found >> 8;
            int zeros = found >> 4 & 15, size = found & 15;
            if (size) {
                b.used += length + size;
                b.flips |= (((uint64_t)1 << size) - 1) << (64 - b.used);
                k += zeros;
                if (k > stop) return DAMAGED;
                fresh |= (uint64_t)1 << k++;
            } else if (zeros < 15) {
                if (!found) return DAMAGED;
                run = (size_t)end_of_bands(&b, length, zeros);
            } else {
                b.used += length;
                k += 16;
            }
        }
        *nonzero |= fresh;
        if (!run) continue;
        size_t ahead = (size_t)(last - nonzero), ending = run < ahead ? run : ahead;
        nonzero += ending - 1;
        run -= ending;
    }
    s->run = (int)run;
    return end(j, &b);
}

/* Processors of the first x86-64 lack the instruction, so compilers do not use it. */
static int has_popcnt(void) {
#ifdef __x86_64__
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c & bit_POPCNT;
#else
    return 0;
#endif
}

INLINE int ones(uint64_t set, int by_popcnt) {
#ifdef __x86_64__
    uint64_t count;
    if (by_popcnt) {
        __asm__("popcnt %1, %0" : "=r"(count) : "r"(set) : "cc");
        return (int)count;
    }
#endif
    (void)by_popcnt;
    set -= set >> 1 & 0x5555555555555555;
    set = (set & 0x3333333333333333) + (set >> 2 & 0x3333333333333333);
    set = (set + (set >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return (int)((set * 0x0101010101010101) >> 56);
}

static __attribute__((noinline)) int ac_refine(jpeg *j, scan *s, uint64_t *nonzero, size_t count) {
    const table *t = s->parts->ac;
    const uint64_t whole = (~(uint64_t)0 >> (63 - s->stop)) & (~(uint64_t)0 << s->start);
    int run = s->run, by_popcnt = j->has_popcnt;
    batch b = begin(j);
    TRY(next(&b));
    for (uint64_t *last = nonzero + count; nonzero < last; nonzero++) {
        uint64_t band = whole, fresh = 0; /* band: coefficients this block has not come to */
        while (!run && band) {
            if (b.used > 26) TRY(next(&b));
            int found = symbol(t, b.r.bits << b.used), length = found >> 8;
            int zeros = found >> 4 & 15, size = found & 15;
            if (!found || size > 1) return DAMAGED;
            if (!size && zeros < 15) {
                run = end_of_bands(&b, length, zeros);
                break;
            }
            b.used += length + size;
            b.flips |= (uint64_t)size << (64 - b.used);
            uint64_t clear = band & ~*nonzero; /* G.1.2.3: only zero history counts */
            for (int i = 0; i < 3; i++) clear &= clear - (zeros > i); /* without a branch */
            for (; zeros > 3 && clear; zeros--) clear &= clear - 1;
            if (!clear) return DAMAGED;
            uint64_t bit = clear & -clear;
            TRY(copy(&b, ones(band & *nonzero & (bit - 1), by_popcnt)));
            band &= ~(bit | (bit - 1));
            if (size) fresh |= bit;
        }
        if (run) {
            TRY(copy(&b, ones(band & *nonzero, by_popcnt)));
            run--;
        }
        *nonzero |= fresh;
    }
    s->run = run;
    return end(j, &b);
}

/* A block of an MCU, and how far it is to that of the next. */
typedef struct { part *of; uint64_t *bits; int step; } cursor;

static __attribute__((noinline)) int read_dc(jpeg *j, scan *s, cursor *blocks, cursor *last,
                                             size_t count) {
    source *in = &j->in;
    reader r = in->r;
    for (; count; count--) {
        if (__builtin_expect(in->limit - r.at < BLOCK, 0)) {
            if (in->ended && overrun(in, &r)) return TRUNCATED;
            in->r = r;
            if (!in->ended) fill(in);
            r = in->r;
        }
        for (cursor *at = blocks; at < last; at++) {
            part *p = at->of;
            refill(&r);
            if (s->kind == DC_REFINE) {
                *at->bits |= r.bits >> 63 << s->low;
                drop(&r, 1);
            } else {
                int found = symbol(p->dc, r.bits), length = found >> 8, size = found & 255;
                if (!found || size > 11) return DAMAGED;
                int value = p->prediction += extend(r.bits, length, size);
                drop(&r, length + size);
                if (value > 32767 >> s->low || value < -32768 >> s->low) return DAMAGED;
                *at->bits = (uint16_t)(value * (1 << s->low));
            }
            at->bits += at->step;
        }
    }
    in->r = r;
    return overrun(in, &r) ? TRUNCATED : DONE;
}

static __attribute__((noinline)) int write_dc(jpeg *j, scan *s, cursor *blocks, cursor *last,
                                              size_t count) {
    writer w = j->out.w;
    for (; count; count--) {
        if (__builtin_expect(full(&j->out, &w), 0)) {
            j->out.w = w;
            TRY(flush(&j->out));
            w = j->out.w;
        }
        unsigned refined = 0; /* a bit of each block */
        for (cursor *at = blocks; at < last; at++) {
            component *c = at->of->c;
            int value = *at->bits & 1;
            if (s->kind == DC_FIRST) {
                value = -(int16_t)*at->bits - c->constant;
                *at->bits = 0;
                if (s->low > 1) c->dc[at->bits - c->bits] = value;
            } else if (s->low) {
                value = c->dc[at->bits - c->bits];
            }
            if (s->low == 1) *at->bits |= value & 1;
            value >>= s->low;
            at->bits += at->step;
            refined = refined << 1 | (value & 1);
            if (s->kind == DC_REFINE) continue;
            int difference = value - at->of->prediction;
            at->of->prediction = value;
            TRY(put_difference(&w, at->of->code, difference));
        }
        if (s->kind == DC_REFINE) put(&w, refined, (int)(last - blocks));
    }
    j->out.w = w;
    return DONE;
}

/* ---- scans (A.2, B.2.3) */

/* Where block i of the MCUs begins: with a DC that is coded anew, or with runs. */
static void begin_with(jpeg *j, size_t i, const run *runs) {
    position *before = &j->positions[i ? i - 1 : j->blocks - 1];
    before->skip = runs - before->ac;
}

/* The DC of a part that follow its first one are flipped. */
static void admit_runs(jpeg *j, const part *of) {
    for (size_t i = 0; i < j->blocks; i++)
        if (j->positions[i].of == of) begin_with(j, i, j->positions[i].ac - (1 << RUNS));
}

/* The blocks of an interval. Nearly all is done by runs, without a branch that depends on the data:
   where a block ends would be guessed wrong too often. The output has a run's bits in their place,
   so runs only gather what to flip. Reader and writer are locals: they stay in registers. */
static __attribute__((noinline)) int sequential_blocks(jpeg *j, size_t left) {
    source *in = &j->in;
    sink *out = &j->out;
    reader r = in->r;
    writer w = out->w;
    for (size_t i = 0; i < j->blocks; i++) begin_with(j, i, j->none);
    const position *p = j->positions;
    const run *runs = j->none;
    unsigned k = 0; /* coefficients << COUNT */
    while (left) {
        if (__builtin_expect(in->limit - r.at < BLOCK, 0)) {
            if (in->ended && overrun(in, &r)) break;
            in->r = r;
            if (!in->ended) fill(in);
            r = in->r;
        }
        if (__builtin_expect(full(out, &w), 0)) {
            out->w = w;
            TRY(flush(out));
            w = out->w;
        }
        refill(&r);
        uint64_t flips = 0;
        unsigned sums = k, stuck = left < 3; /* sums: coefficients, and below them bits used */
#pragma GCC unroll 3
        for (int n = 0; n < 3 && !stuck; n++) {
            run step = runs[r.bits << (sums & 63) >> (64 - RUNS)];
            if (__builtin_expect(sums + (step & SUMS) >= BLOCK_FULL, 0)) {
                stuck = 1;
                break;
            }
            intptr_t ends = (int32_t)step >> 31; /* all ones, or 0 */
            flips |= (uint64_t)(step & FLIP) << 33 >> (sums & 63);
            sums = (sums + (step & SUMS)) & ~((unsigned)ends << COUNT);
            left += (size_t)ends;
            runs = p->ac + (p->skip & ends);
            p = (const position *)((const char *)p + (p->step & ends));
        }
        put_top(&w, r.bits ^ flips, (int)(sums & 63));
        drop(&r, (int)(sums & 63));
        k = sums >> COUNT << COUNT;
        if (__builtin_expect(stuck, 0)) {
            int first = p->of->first;
            k >>= COUNT;
            TRY(sequential_symbol(&r, &w, p->of, &k));
            if (first && p->of->code == p->of->dc) admit_runs(j, p->of);
            intptr_t ends = -(intptr_t)(k == 64);
            k = (k & 63) << COUNT;
            left += (size_t)ends;
            runs = p->ac + (p->skip & ends);
            p = (const position *)((const char *)p + (p->step & ends));
        }
    }
    in->r = r;
    out->w = w;
    return overrun(in, &r) ? TRUNCATED : DONE;
}

/* The marker that ends entropy-coded data; with `restarts`, RSTn do not end it. */
static const uint8_t *to_marker(const uint8_t *at, const uint8_t *end, int restarts) {
    while ((at = at < end ? memchr(at, 0xFF, (size_t)(end - at)) : NULL)) {
        if (end - at < 2) return end;
        if (at[1] && !(restarts && (at[1] & 0xF8) == 0xD0)) return at;
        at += 2;
    }
    return end;
}

static int restart(jpeg *j, scan *s, size_t number, int reading) {
    if (reading) {
        const uint8_t *at = j->at;
        while (j->end - at > 2 && at[1] == 0xFF) at++;
        if (j->end - at < 2 || at[1] == 0xD9) return TRUNCATED;
        if (at[1] != (0xD0 | (number & 7))) return DAMAGED;
        open_source(&j->in, at + 2, j->end);
    }
    for (part *p = s->parts; p < s->parts + s->n; p++) p->prediction = 0, p->first = 1;
    s->run = 0;
    if (j->collecting) return DONE;
    if (full(&j->out, &j->out.w)) TRY(flush(&j->out));
    *j->out.w.at++ = 0xFF;
    *j->out.w.at++ = (uint8_t)(0xD0 | (number & 7));
    return DONE;
}

static void close_interval(jpeg *j, int reading) {
    const reader *r = &j->in.r;
    intptr_t left = reading ? (j->in.limit - r->at) * 8 + r->count : 0;
    if (reading) {
        j->at = to_marker(j->in.next, j->end, 0);
        if (left >= 8 || j->at > j->in.next) j->dropped |= LEFT_OVER;
    }
    if (!j->collecting) pad(&j->out.w, left <= 0 || r->bits >> 63);
}

static int sequential_scan(jpeg *j, scan *s, size_t mcus) {
    size_t most = j->interval ? (size_t)j->interval : mcus, number = 0;
    unsigned used = 0;
    j->blocks = 0;
    for (int i = 0; i < s->n; i++) {
        part *p = &s->parts[i];
        const run_set *set = find_runs(p->dc, p->ac, p->kept, &used);
        for (int n = s->n == 1 ? 1 : p->h * p->v; n; n--)
            j->positions[j->blocks++] = (position){p, set->runs[1], 0, sizeof(position)};
    }
    j->positions[j->blocks - 1].step -= (intptr_t)(j->blocks * sizeof(position));
    open_source(&j->in, j->at, j->end);
    for (size_t done = 0; done < mcus; done += most) {
        if (done) {
            close_interval(j, 1);
            TRY(restart(j, s, number++, 1));
        }
        TRY(sequential_blocks(j, j->blocks * (mcus - done < most ? mcus - done : most)));
    }
    close_interval(j, 1);
    return DONE;
}

/* MCUs that lie side by side. */
static int progressive_mcus(jpeg *j, scan *s, size_t x, size_t y, size_t count) {
    if (s->kind >= AC_FIRST) {
        component *c = s->parts->c;
        uint64_t *nonzero = &c->bits[y * c->stride + x];
        return (s->kind == AC_FIRST ? ac_first : ac_refine)(j, s, nonzero, count);
    }
    cursor blocks[10], *last = blocks;
    for (part *p = s->parts; p < s->parts + s->n; p++) {
        int across = s->n == 1 ? 1 : p->h, down = s->n == 1 ? 1 : p->v;
        for (int v = 0; v < down; v++) {
            size_t row = y * (size_t)down + (size_t)v;
            uint64_t *bits = &p->c->bits[row * p->c->stride + x * (size_t)across];
            for (int h = 0; h < across; h++) *last++ = (cursor){p, bits + h, across};
        }
    }
    return j->collecting ? read_dc(j, s, blocks, last, count) : write_dc(j, s, blocks, last, count);
}

/* AC scans are read and written; of DC scans the first walk reads, the second writes. */
static int progressive_scan(jpeg *j, scan *s, size_t across, size_t down) {
    const uint8_t *after = to_marker(j->at, j->end, 1);
    if (j->collecting && s->kind >= AC_FIRST) return j->at = after, DONE;
    int reading = j->collecting || s->kind >= AC_FIRST;
    size_t left = j->interval ? (size_t)j->interval : across * down, number = 0;
    if (reading) open_source(&j->in, j->at, j->end);
    for (size_t y = 0; y < down; y++) {
        for (size_t x = 0, count; x < across; x += count, left -= count) {
            if (!left) {
                close_interval(j, reading);
                TRY(restart(j, s, number++, reading));
                left = (size_t)j->interval;
            }
            count = across - x < left ? across - x : left;
            TRY(progressive_mcus(j, s, x, y, count));
        }
    }
    close_interval(j, reading);
    j->at = after;
    return DONE;
}

/* Whether a component rises with brightness; unless the caller says so, by libjpeg's rules for
   color spaces. */
static int is_brightness(const jpeg *j, int i) {
    const component *c = j->components;
    if (j->brightness >= 0) return j->brightness >> i & 1;
    if (j->n == 4) return j->adobe < 0 || j->adobe == 0 || i == 0 || i == 3;
    int rgb = j->adobe >= 0 ? j->adobe == 0 : c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B';
    return j->n == 1 || i == 0 || (rgb && !j->jfif);
}

static int is_kept(const jpeg *j, int i) {
    return j->brightness >= 0 && j->brightness >> (4 + i) & 1;
}

static int start_scan(jpeg *j, const uint8_t *header, size_t length) {
    scan s = {.n = length ? header[0] : 0};
    if (!j->n || s.n < 1 || s.n > j->n || length < 4 + 2 * (size_t)s.n) return DAMAGED;
    if (++j->scans > MOST_SCANS) return DAMAGED;
    const uint8_t *tail = header + 1 + 2 * s.n;
    s.start = tail[0], s.stop = tail[1], s.high = tail[2] >> 4, s.low = tail[2] & 15;
    if (j->progressive) {
        if (s.start > s.stop || s.stop > 63 || s.low > 13 || (s.start ? s.n > 1 : s.stop))
            return DAMAGED;
        if (s.high && s.high != s.low + 1) return DAMAGED;
        s.kind = (s.start ? AC_FIRST : DC_FIRST) + !!s.high;
    } else {
        s.kind = SEQUENTIAL, s.start = s.stop = s.low = s.high = 0;
    }
    int blocks = 0;
    for (int i = 0; i < s.n; i++) {
        const uint8_t *q = header + 1 + 2 * i;
        int which = 0, td = q[1] >> 4, ta = q[1] & 15;
        while (which < j->n && j->components[which].id != q[0]) which++;
        if (which == j->n || td > 3 || ta > 3) return DAMAGED;
        component *c = &j->components[which];
        for (int other = 0; other < i; other++)
            if (s.parts[other].c == c) return DAMAGED;
        if (s.kind == SEQUENTIAL && !j->dc[td].defined && td < 2)
            define_standard(&j->dc[td], standard_dc[td]);
        if (s.kind == SEQUENTIAL && !j->ac[ta].defined && ta < 2)
            define_standard(&j->ac[ta], standard_ac[ta]);
        s.parts[i] = (part){c, &j->dc[td], j->anew ? &j->standard : &j->dc[td], &j->ac[ta],
                            c->h, c->v, 0, 1, is_kept(j, which)};
        if (s.parts[i].kept && j->progressive) return UNSUPPORTED;
        if (s.kind <= DC_FIRST && !j->dc[td].defined) return DAMAGED;
        if ((s.kind == SEQUENTIAL || s.kind >= AC_FIRST) && !j->ac[ta].defined) return DAMAGED;
        blocks += c->h * c->v;
        for (int k = s.start; k <= s.stop; k++) {
            if (j->progressive && c->low[k] != (s.high ? s.high : -1)) return DAMAGED;
            c->low[k] = (int8_t)s.low;
        }
        if (s.kind >= AC_FIRST && c->low[0] < 0) return UNSUPPORTED;
        if (j->collecting) continue;
        if (s.kind == DC_FIRST && s.low > 1) {
            c->dc = calloc(c->places, sizeof *c->dc);
            if (!c->dc) return NO_MEMORY;
        }
        if (!c->known) { /* a decoder takes the table that holds when a component begins */
            int q0 = j->q0[c->tq];
            if (!q0) return DAMAGED;
            c->known = 1;
            c->constant = is_brightness(j, which) ? (16 + q0) / (2 * q0) : 0;
        }
        if (j->anew && s.kind <= DC_FIRST) {
            TRY(emit(&j->out, (uint8_t[]){0xFF, 0xC4, 0, 31, (uint8_t)td}, 5));
            TRY(emit(&j->out, standard_dc[0], sizeof standard_dc[0]));
        }
    }
    if (s.n > 1 && blocks > 10) return UNSUPPORTED;
    if (!j->collecting) {
        TRY(emit(&j->out, header - 4, length + 4));
    }
    component *only = s.n == 1 ? s.parts[0].c : NULL; /* A.2.2: a block is its MCU */
    size_t across = only ? only->across : j->mcus_across;
    size_t down = only ? only->down : j->mcus_down;
    return j->progressive ? progressive_scan(j, &s, across, down)
                          : sequential_scan(j, &s, across * down);
}

/* ---- segments (B.2) */

static int frame(jpeg *j, const uint8_t *p, size_t length) {
    if (j->n || length < 6 || p[0] != 8) return j->n || length < 6 ? DAMAGED : UNSUPPORTED;
    j->height = word(p + 1), j->width = word(p + 3);
    int n = p[5];
    if (n < 1 || n > 4 || (n == 2 && j->brightness < 0) || !j->height || !j->width) return UNSUPPORTED;
    if (length < 6 + 3 * (size_t)n) return DAMAGED;
    j->h_most = j->v_most = 1;
    for (int i = 0; i < n; i++) {
        component *c = &j->components[i];
        const uint8_t *q = p + 6 + 3 * i;
        c->id = q[0], c->h = q[1] >> 4, c->v = q[1] & 15, c->tq = q[2];
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->tq > 3) return DAMAGED;
        if (c->h > j->h_most) j->h_most = c->h;
        if (c->v > j->v_most) j->v_most = c->v;
        memset(c->low, -1, sizeof c->low);
    }
    j->n = n;
    size_t h_most = (size_t)j->h_most, v_most = (size_t)j->v_most;
    j->mcus_across = ((size_t)j->width + 8 * h_most - 1) / (8 * h_most);
    j->mcus_down = ((size_t)j->height + 8 * v_most - 1) / (8 * v_most);
    for (int i = 0; i < n; i++) {
        component *c = &j->components[i];
        size_t wide = ((size_t)j->width * (size_t)c->h + h_most - 1) / h_most;
        size_t high = ((size_t)j->height * (size_t)c->v + v_most - 1) / v_most;
        c->across = (wide + 7) / 8, c->down = (high + 7) / 8;
        c->stride = j->mcus_across * (size_t)c->h;
        if (c->across * c->down / 8 > j->body) return TRUNCATED; /* each takes a bit or more */
        c->places = c->stride * j->mcus_down * (size_t)c->v;
        if (!j->progressive || c->bits) continue;
        c->bits = calloc(c->places, sizeof *c->bits);
        if (!c->bits) return NO_MEMORY;
    }
    return DONE;
}

static int quantization(jpeg *j, const uint8_t *p, size_t length) {
    for (size_t size; length; p += size, length -= size) {
        int wide = p[0] >> 4, which = p[0] & 15;
        size = wide ? 129 : 65;
        if (wide > 1 || which > 3 || length < size) return DAMAGED;
        j->q0[which] = wide ? word(p + 1) : p[1];
    }
    return DONE;
}

static int huffman(jpeg *j, const uint8_t *p, size_t length) {
    for (size_t size; length; p += size, length -= size) {
        int which = p[0] & 15, count = 0;
        if (p[0] >> 4 > 1 || which > 3 || length < 17) return DAMAGED;
        for (int i = 1; i <= 16; i++) count += p[i];
        size = 17 + (size_t)count;
        if (count > 256 || length < size) return DAMAGED;
        TRY(define(p[0] >> 4 ? &j->ac[which] : &j->dc[which], p + 1, p + 17, count));
    }
    return DONE;
}

static int dc_complete(const jpeg *j) {
    for (int i = 0; i < j->n; i++)
        if (j->components[i].low[0]) return 0;
    return 1;
}

/* The file ends with EOI, or without one after scans of all bits of all coefficients. */
static int finish(const jpeg *j, int at_marker) {
    for (int i = 0; i < j->n; i++) {
        const component *c = &j->components[i];
        if (c->low[0] < 0) return TRUNCATED;
        for (int k = 0; k < 64 && j->progressive && !at_marker; k++)
            if (c->low[k]) return TRUNCATED;
    }
    return j->n ? DONE : TRUNCATED;
}

static int segment(jpeg *j, int marker, const uint8_t *p, size_t length) {
    if (marker == 0xC0 || marker == 0xC1 || marker == 0xC2) {
        j->progressive = marker == 0xC2;
        if (j->progressive) j->has_popcnt = has_popcnt();
        return frame(j, p, length);
    }
    if ((marker >= 0xC3 && marker <= 0xCF && marker != 0xC4 && marker != 0xCC) ||
        (marker >= 0xDC && marker <= 0xDF && marker != 0xDD))
        return UNSUPPORTED;
    if (marker == 0xC4) return huffman(j, p, length);
    if (marker == 0xDB) return quantization(j, p, length);
    if (marker == 0xDD) return length == 2 ? j->interval = word(p), DONE : DAMAGED;
    if (marker == 0xE0 && length >= 12 && !memcmp(p, "JFIF", 5)) j->jfif = 1;
    if (marker == 0xEE && length >= 12 && !memcmp(p, "Adobe", 5)) j->adobe = p[11];
    return DONE;
}

/* All segments of head, then of tail; j->at is left after the EOI. */
static int walk(jpeg *j, const uint8_t *head, size_t head_size, const uint8_t *tail, size_t size) {
    j->at = head, j->end = head + head_size;
    j->n = j->progressive = j->scans = j->interval = j->jfif = 0;
    j->adobe = -1;
    memset(j->q0, 0, sizeof j->q0);
    for (int i = 0; i < 4; i++) j->dc[i].defined = j->ac[i].defined = 0;
    if (head_size < 2 || word(head) != 0xFFD8) return DAMAGED;
    if (!j->collecting) TRY(emit(&j->out, head, 2));
    for (j->at += 2;;) {
        if (j->at == j->end && j->end != tail + size) j->at = tail, j->end = tail + size;
        if (j->end - j->at < 2) return finish(j, 0);
        int marker = j->at[1];
        if (j->at[0] != 0xFF || marker == 0xFF || !marker) {
            /* Fill bytes (B.1.1.2), or stray ones, which libjpeg skips: only zeros stay. */
            const uint8_t *from = j->at;
            while (j->end - j->at > 1 &&
                   (!j->at[0] || (j->at[0] == 0xFF && (j->at[1] == 0xFF || !j->at[1]))))
                j->at++;
            if (from == j->at) j->dropped |= STRAY, j->at++;
            else if (!j->collecting) TRY(emit(&j->out, from, (size_t)(j->at - from)));
            continue;
        }
        const uint8_t *from = j->at;
        j->at += 2;
        if (marker == 0xD9) {
            if (!j->collecting) TRY(emit(&j->out, from, 2));
            return finish(j, 1);
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) { /* without a segment */
            if (!j->collecting) TRY(emit(&j->out, from, 2));
            continue;
        }
        if (marker < 0xC0 || marker == 0xD8) return DAMAGED;
        if (j->end - j->at < 2 || word(j->at) > j->end - j->at) return TRUNCATED;
        size_t length = (size_t)word(j->at);
        if (length < 2) return DAMAGED;
        j->at += length;
        if (marker == 0xDA) {
            TRY(start_scan(j, from + 4, length - 2));
            if (j->collecting && dc_complete(j)) return DONE;
            continue;
        }
        TRY(segment(j, marker, from + 4, length - 2));
        if (j->collecting && j->n && !j->progressive) return DONE;
        if (j->scans && (marker & 0xF0) == 0xE0) j->dropped |= SEGMENTS; /* could hold previews */
        else if (!j->collecting) TRY(emit(&j->out, from, length + 2));
    }
}

/* Negate head + tail, parted between two segments before the first scan, into `descriptor`, or
   into the buffer alone (descriptor < 0). anew: DC are coded by table K.3. brightness: which
   components rise with it, a bit each, and from bit 4 on which stay as they are (of a sequential
   JPEG), or -1: as the segments say. consumed: bytes of tail, EOI included; written: bytes of the
   result; dropped: flags. */
int jpeg_negate(const uint8_t *head, size_t head_size, const uint8_t *tail, size_t size,
                uint8_t *buffer, size_t room, int descriptor, int anew, int brightness,
                size_t *consumed, size_t *written, int *dropped) {
    *consumed = *written = 0;
    *dropped = 0;
    if (room < 4 * BLOCK) return NO_SPACE;
    jpeg *j = calloc(1, sizeof *j);
    if (!j) return NO_MEMORY;
    j->out.buffer = j->out.w.at = buffer;
    j->out.limit = buffer + room;
    j->out.descriptor = descriptor;
    j->body = size + head_size;
    j->anew = anew;
    j->brightness = brightness;
    define_standard(&j->standard, standard_dc[0]);
    for (int i = 0; i < 1 << RUNS; i++) j->none[i] = NO_RUN;
    j->collecting = 1;
    int rc = walk(j, head, head_size, tail, size);
    j->collecting = 0;
    if (!rc) rc = walk(j, head, head_size, tail, size);
    if (!rc && descriptor >= 0) rc = flush(&j->out);
    *consumed = (size_t)(j->at - tail);
    *dropped = j->dropped;
    *written = j->out.flushed + (size_t)(j->out.w.at - j->out.buffer);
    for (int i = 0; i < 4; i++) free(j->components[i].dc), free(j->components[i].bits);
    free(j);
    return rc;
}
