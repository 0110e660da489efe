/* Change the bytes of a deflate stream (RFC 1951) in a zlib stream (RFC 1950); keep its matches.

   Searching matches is what makes deflate slow, and the search of a fast compressor finds fewer. A
   change that maps equal bytes to equal bytes, as the negative does nearly everywhere, leaves the
   source's matches valid. So its symbols are decoded, the bytes changed, each match compared, and
   the symbols coded again by new Huffman codes; what no longer matches becomes literals. Blocks
   stay blocks but for small ones, the result is about as large as the source, and only the decoded
   block and the window before it are held. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DONE, DAMAGED, NEEDS_DECODED, NEEDS_INPUT, NEEDS_SPACE, TRUNCATED };
enum { AT_HEADER, AT_BLOCK, IN_STORED, IN_CODES, AT_FLUSH, AT_CHECKSUM, AT_END };
enum {
    WINDOW = 1 << 15,
    BLOCK = 1 << 20,          /* most bytes that are coded together */
    SMALL = 1 << 12,          /* smaller blocks are joined: new codes cost as much time as many bytes */
    SLIDE = 1 << 16,          /* bytes beyond the window before it is moved */
    MOST_MATCHES = BLOCK / 3 + 256,
    STORED = 65535,           /* most bytes of a stored block */
    MAX_MATCH = 258,
    MAX_BITS = 15,            /* of a code */
    MAX_OWN_BITS = 14,        /* of our codes: four fit into a word with the bits before them */
    SYMBOLS = 288,            /* literals, end of block, lengths */
    DISTANCES = 30,
    END_OF_BLOCK = 256,
    LENGTHS = 257,            /* the first symbol of a length */
    HEADER_BYTES = 600,       /* more than the header of a block has */
    SYMBOL_BYTES = 16,        /* more than two symbols and what a refill reads */
    LITERAL_BITS = 10,        /* index bits of the decoding tables */
    DISTANCE_BITS = 9,
    SUBTABLES = SYMBOLS << 5, /* at most one for each symbol */
};
#define INLINE static inline __attribute__((always_inline))

/* An entry of a decoding table: bits 0 to 3, the length of the code (of all codes, if there are
   several literals); 4 and 5, the number of literals, which are in bits 8 to 31. Without literals,
   6: any other than a length or a distance; 8 to 11, the number of extra bits; 16 to 31, the base
   of the length or distance, or where the subtable is, or 0 (end of block), or 1 (no code). */
enum { LITERALS = 3 << 4, ONE_LITERAL = 1 << 4, TWO_LITERALS = 2 << 4, OTHER = 1 << 6 };
#define NO_CODE (OTHER | 1u << 16)

typedef struct {
    uint32_t literals; /* before the match */
    uint16_t length;   /* 0: the block's end */
    uint16_t distance; /* less 1 */
} Match;

typedef struct {
    int (*change)(void *context, const uint8_t *before, uint8_t *after, size_t count);
    void *context;
    int state, resumed; /* resumed: the state after the block is flushed */
    int is_last;        /* whether the source's block is the last one */
    int has_fixed;      /* whether the decoding tables are those of the fixed codes */
    uint64_t bits;      /* read and not used yet */
    unsigned bit_count;
    uint64_t out_bits; /* to be written */
    unsigned out_count;
    size_t stored;     /* bytes of a stored block still to come */
    size_t start, end; /* of the block in before and after */
    size_t literals;   /* where the literals since the last match begin */
    size_t count;      /* of matches */
    uint32_t adler_before, adler_after;
    uint8_t length_symbols[MAX_MATCH + 1]; /* less LENGTHS */
    uint32_t literal_table[(1 << LITERAL_BITS) + SUBTABLES];
    uint32_t distance_table[(1 << DISTANCE_BITS) + (DISTANCES << 6)];
    Match matches[MOST_MATCHES], valid[MOST_MATCHES];
    uint8_t before[WINDOW + SLIDE + BLOCK + 2 * MAX_MATCH], after[WINDOW + SLIDE + BLOCK + 2 * MAX_MATCH];
} Recoder;

static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint8_t code_order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

INLINE unsigned distance_extra(unsigned symbol) { return symbol < 4 ? 0 : symbol / 2 - 1; }

INLINE unsigned distance_base(unsigned symbol) {
    return symbol < 4 ? symbol + 1 : ((2 + symbol % 2) << distance_extra(symbol)) + 1;
}

INLINE uint64_t load64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

INLINE void store64(uint8_t *p, uint64_t value) { memcpy(p, &value, 8); }

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "only little-endian machines are supported"
#endif

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint16_t Sums __attribute__((vector_size(32)));

/* RFC 1950, 8.2; b adds a after each byte, so that the bytes of a vector weigh 16 to 1. */
static uint32_t adler32(uint32_t adler, const uint8_t *data, size_t count) {
    const Sums weights = {16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    uint32_t a = adler & 0xFFFF, b = adler >> 16;
    for (; count >= 256; data += 256, count -= 256) {
        Sums sum = {0}, earlier = {0}, weighted = {0}; /* no element exceeds 16 bits */
        for (int i = 0; i < 256; i += 16) {
            Bytes bytes;
            memcpy(&bytes, data + i, 16);
            Sums values = __builtin_convertvector(bytes, Sums);
            earlier += sum;
            sum += values;
            weighted += values * weights;
        }
        b += 256 * a;
        for (int i = 0; i < 16; i++) {
            a += sum[i];
            b += 16u * earlier[i] + weighted[i];
        }
        a %= 65521;
        b %= 65521;
    }
    while (count--) b += a += *data++;
    return (b % 65521) << 16 | a % 65521;
}

/* Codes. */

static uint32_t reversed(uint32_t code, unsigned length) {
    uint32_t result = 0;
    for (; length; length--, code >>= 1) result = result << 1 | (code & 1);
    return result;
}

/* The codes of lengths (3.2.2), reversed as they are stored; 0: the lengths are no code. */
static int codes_of(const uint8_t *lengths, size_t count, uint16_t *codes, int *longest) {
    unsigned of_length[MAX_BITS + 2] = {0}, next[MAX_BITS + 2] = {0};
    int left = 1;
    for (size_t i = 0; i < count; i++) of_length[lengths[i]]++;
    of_length[0] = 0;
    *longest = 0;
    for (int bits = 1; bits <= MAX_BITS; bits++) {
        left = 2 * left - (int)of_length[bits];
        if (left < 0) return 0;
        next[bits + 1] = (next[bits] + of_length[bits]) << 1;
        if (of_length[bits]) *longest = bits;
    }
    for (size_t i = 0; i < count; i++)
        if (lengths[i]) codes[i] = (uint16_t)reversed(next[lengths[i]]++, lengths[i]);
    return !left || *longest <= 1; /* zlib takes one code, or none, that leaves others unused */
}

static uint32_t literal_entry(size_t symbol, int length) {
    if (symbol < END_OF_BLOCK) return (uint32_t)(length | ONE_LITERAL | symbol << 8);
    if (symbol == END_OF_BLOCK) return (uint32_t)length | OTHER;
    if (symbol >= LENGTHS + 29) return NO_CODE;
    symbol -= LENGTHS;
    return (uint32_t)(length | length_extra[symbol] << 8 | length_base[symbol] << 16);
}

static uint32_t distance_entry(size_t symbol, int length) {
    if (symbol >= DISTANCES) return NO_CODE;
    unsigned base = distance_base((unsigned)symbol) - 1;
    return (uint32_t)length | distance_extra((unsigned)symbol) << 8 | base << 16;
}

/* Fill a decoding table of 1 << bits entries and of the subtables behind them. */
static int fill(uint32_t *table, int bits, const uint8_t *lengths, size_t count,
                uint32_t (*entry)(size_t, int)) {
    uint16_t codes[SYMBOLS + 32];
    int longest, more;
    size_t size = (size_t)1 << bits, end = size;
    if (!codes_of(lengths, count, codes, &longest)) return 0;
    more = longest > bits ? longest - bits : 0;
    for (size_t i = 0; i < size; i++) table[i] = NO_CODE;
    for (size_t i = 0; i < count; i++) {
        int length = lengths[i];
        if (!length) continue;
        uint32_t value = entry(i, length);
        if (length <= bits) {
            for (size_t at = codes[i]; at < size; at += (size_t)1 << length) table[at] = value;
            continue;
        }
        uint32_t *prefix = table + (codes[i] & (size - 1));
        if (*prefix == NO_CODE) {
            *prefix = (uint32_t)(OTHER | more << 8 | end << 16);
            for (size_t j = 0; j < (size_t)1 << more; j++) table[end + j] = NO_CODE;
            end += (size_t)1 << more;
        }
        uint32_t *sub = table + (*prefix >> 16);
        for (size_t at = codes[i] >> bits; at < (size_t)1 << more; at += (size_t)1 << (length - bits))
            sub[at] = value;
    }
    return 1;
}

/* Let entries decode up to three literals where the codes of all fit into the index. */
static void join_literals(uint32_t *table) {
    uint32_t single[1 << LITERAL_BITS];
    memcpy(single, table, sizeof single);
    for (uint32_t i = 1 << LITERAL_BITS; i-- > 0;) {
        uint32_t entry = table[i], length = entry & 15, shift = 16;
        if (!(entry & LITERALS)) continue;
        for (; shift < 32; shift += 8) {
            uint32_t next = single[i >> length];
            if (!(next & LITERALS) || length + (next & 15) > LITERAL_BITS) break;
            length += next & 15;
            entry = (entry & ~15u) + ONE_LITERAL + length + ((next & 0xFF00) << (shift - 8));
        }
        table[i] = entry;
    }
}

/* Input. */

typedef struct {
    const uint8_t *at, *end;
    uint64_t bits;
    unsigned count;
} Input;

/* Have at least 56 bits; eight bytes may be read. */
INLINE void refill(Input *in) {
    in->bits |= load64(in->at) << in->count;
    in->at += (63 - in->count) >> 3;
    in->count |= 56;
}

INLINE uint32_t take(Input *in, unsigned count) {
    uint32_t value = (uint32_t)(in->bits & (((uint64_t)1 << count) - 1));
    in->bits >>= count;
    in->count -= count;
    return value;
}

/* The lengths of a dynamic block's codes (3.2.7). */
static int read_codes(Recoder *r, Input *in) {
    uint8_t lengths[SYMBOLS + 32] = {0}, order[19] = {0};
    uint32_t table[1 << 7];
    refill(in);
    unsigned symbols = 257 + take(in, 5), distances = 1 + take(in, 5), count = 4 + take(in, 4);
    if (symbols > 286 || distances > DISTANCES) return 0;
    for (unsigned i = 0; i < count; i++) {
        refill(in);
        order[code_order[i]] = (uint8_t)take(in, 3);
    }
    if (!fill(table, 7, order, 19, literal_entry)) return 0;
    for (unsigned i = 0; i < symbols + distances;) {
        refill(in);
        uint32_t entry = table[in->bits & 127];
        if (!(entry & LITERALS)) return 0;
        take(in, entry & 15);
        unsigned symbol = entry >> 8 & 255, value = 0, repeat = 1;
        if (symbol < 16) value = symbol;
        else if (symbol == 16) {
            if (!i) return 0;
            value = lengths[i - 1], repeat = 3 + take(in, 2);
        } else repeat = symbol == 17 ? 3 + take(in, 3) : 11 + take(in, 7);
        if (i + repeat > symbols + distances) return 0;
        while (repeat--) lengths[i++] = (uint8_t)value;
    }
    if (!lengths[END_OF_BLOCK]) return 0;
    r->has_fixed = 0;
    if (!fill(r->literal_table, LITERAL_BITS, lengths, symbols, literal_entry)) return 0;
    join_literals(r->literal_table);
    return fill(r->distance_table, DISTANCE_BITS, lengths + symbols, distances, distance_entry);
}

static void fixed_lengths(uint8_t *literals, uint8_t *distances) {
    memset(literals, 8, 144);
    memset(literals + 144, 9, 112);
    memset(literals + 256, 7, 24);
    memset(literals + 280, 8, 8);
    memset(distances, 5, 32);
}

static void use_fixed_codes(Recoder *r) {
    uint8_t literals[SYMBOLS], distances[32];
    if (r->has_fixed) return;
    r->has_fixed = 1;
    fixed_lengths(literals, distances);
    fill(r->literal_table, LITERAL_BITS, literals, SYMBOLS, literal_entry);
    join_literals(r->literal_table);
    fill(r->distance_table, DISTANCE_BITS, distances, 32, distance_entry);
}

/* At the end of the source's block: flush it, or go on if it is small. */
static void end_block(Recoder *r, size_t size) {
    r->resumed = r->is_last ? AT_CHECKSUM : AT_BLOCK;
    r->state = r->is_last || size >= SMALL ? AT_FLUSH : AT_BLOCK;
}

/* The symbols of a block, until it ends, the block is full, or input is missing. */
static int read_symbols(Recoder *r, Input *input) {
    Input in = *input;
    const uint8_t *safe = in.end - SYMBOL_BYTES;
    uint8_t *at = r->before + r->end, *full = r->before + r->start + BLOCK;
    uint32_t entry;
    int status = NEEDS_INPUT;
    const uint64_t mask = (1 << LITERAL_BITS) - 1;
    while (in.at <= safe) {
        if (at >= full) {
            r->resumed = IN_CODES;
            r->state = AT_FLUSH;
            status = DONE;
            break;
        }
        refill(&in);
        entry = r->literal_table[in.bits & mask];
#define STORE_LITERALS                                                                             \
    do {                                                                                           \
        uint32_t literals = entry >> 8;                                                            \
        memcpy(at, &literals, 4);                                                                  \
        at += entry >> 4 & 3;                                                                      \
        in.bits >>= entry & 15;                                                                    \
        in.count -= entry & 15;                                                                    \
    } while (0)
        if (entry & LITERALS) {
            STORE_LITERALS;
            entry = r->literal_table[in.bits & mask];
            if (entry & LITERALS) {
                STORE_LITERALS;
                entry = r->literal_table[in.bits & mask];
                if (entry & LITERALS) {
                    STORE_LITERALS;
                    entry = r->literal_table[in.bits & mask];
                    if (entry & LITERALS) {
                        STORE_LITERALS;
                        continue;
                    }
                }
            }
            refill(&in);
        }
        if (entry & OTHER) {
            if (entry == NO_CODE) return DAMAGED;
            if (entry >> 16) { /* a subtable */
                size_t index = in.bits >> LITERAL_BITS & ((1u << (entry >> 8 & 15)) - 1);
                entry = r->literal_table[(entry >> 16) + index];
            }
            if (entry & LITERALS) {
                STORE_LITERALS;
                continue;
            }
            if (entry & OTHER) {
                if (entry >> 16) return DAMAGED;
                take(&in, entry & 15);
                end_block(r, (size_t)(at - r->before) - r->start);
                status = DONE;
                break;
            }
        }
        take(&in, entry & 15);
        size_t length = (entry >> 16) + take(&in, entry >> 8 & 15);
        entry = r->distance_table[in.bits & ((1 << DISTANCE_BITS) - 1)];
        if (entry & OTHER) {
            if (entry == NO_CODE) return DAMAGED;
            size_t index = in.bits >> DISTANCE_BITS & ((1u << (entry >> 8 & 15)) - 1);
            entry = r->distance_table[(entry >> 16) + index];
            if (entry & OTHER) return DAMAGED;
        }
        take(&in, entry & 15);
        size_t distance = 1 + (entry >> 16) + take(&in, entry >> 8 & 15);
        if (distance > (size_t)(at - r->before)) return DAMAGED;
        r->matches[r->count++] = (Match){(uint32_t)(at - r->before - r->literals), (uint16_t)length,
                                         (uint16_t)(distance - 1)};
        const uint8_t *from = at - distance;
        if (distance >= 16) { /* mostly without a loop, whose end could not be predicted */
            memcpy(at, from, 16);
            memcpy(at + 16, from + 16, 16);
            for (size_t i = 32; i < length; i += 16) memcpy(at + i, from + i, 16);
        } else { /* a pattern that overlaps itself: eight bytes, and from then on whole patterns */
            static const uint8_t whole[16] = {0, 8, 8, 9, 8, 10, 12, 14, 8, 9, 10, 11, 12, 13, 14, 15};
            for (size_t i = 0; i < 8; i++) at[i] = from[i];
            for (size_t i = 8; i < length; i += 8) store64(at + i, load64(at + i - whole[distance]));
        }
        at += length;
        r->literals = (size_t)(at - r->before);
    }
    r->end = (size_t)(at - r->before);
    *input = in;
    return status;
}

/* Output. */

typedef struct {
    uint8_t *at;
    uint64_t bits;
    unsigned count;
} Output;

/* Add at most 56 bits. */
INLINE void put(Output *out, uint64_t value, unsigned count) {
    out->bits |= value << out->count;
    out->count += count;
    store64(out->at, out->bits);
    out->at += out->count >> 3;
    out->bits >>= out->count & ~7u;
    out->count &= 7;
}

typedef struct {
    uint32_t count;
    uint16_t symbol;
} Frequency;

static int by_count(const void *left, const void *right) {
    const Frequency *a = left, *b = right;
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    return (int)a->symbol - (int)b->symbol;
}

/* The lengths of Huffman's code, at most `longest` bits. */
static void huffman(uint32_t *counts, size_t size, unsigned longest, uint8_t *lengths) {
    Frequency leaves[SYMBOLS];
    uint32_t weight[2 * SYMBOLS], of_length[2 * SYMBOLS] = {0};
    uint16_t parent[2 * SYMBOLS], depth[2 * SYMBOLS];
    size_t used = 0, leaf = 0, inner, next;
    for (size_t i = 0; i < size; i++) used += counts[i] != 0;
    for (size_t i = 0; used < 2; i++) /* a code of one symbol would not be complete */
        if (!counts[i]) counts[i] = 1, used++;
    used = 0;
    memset(lengths, 0, size);
    for (size_t i = 0; i < size; i++)
        if (counts[i]) leaves[used++] = (Frequency){counts[i], (uint16_t)i};
    qsort(leaves, used, sizeof *leaves, by_count);
    for (size_t i = 0; i < used; i++) weight[i] = leaves[i].count;
    inner = next = used;
    for (; next < 2 * used - 1; next++) {
        weight[next] = 0;
        for (int child = 0; child < 2; child++) {
            size_t least = leaf < used && (inner >= next || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
            weight[next] += weight[least];
            parent[least] = (uint16_t)next;
        }
    }
    depth[next - 1] = 0;
    for (size_t i = next - 1; i-- > 0;) {
        depth[i] = (uint16_t)(depth[parent[i]] + 1);
        if (i < used) of_length[depth[i] < longest ? depth[i] : longest]++;
    }
    uint32_t total = 0;
    for (unsigned bits = 1; bits <= longest; bits++) total += of_length[bits] << (longest - bits);
    while (total > 1u << longest) { /* shorten one code of the longest, lengthen a shorter one */
        unsigned bits = longest - 1;
        while (!of_length[bits]) bits--;
        of_length[bits]--;
        of_length[bits + 1] += 2;
        of_length[longest]--;
        total--;
    }
    for (unsigned bits = longest, i = 0; bits; bits--)
        for (uint32_t n = of_length[bits]; n; n--) lengths[leaves[i++].symbol] = (uint8_t)bits;
}

INLINE unsigned distance_symbol(unsigned distance) { /* less 1 */
    if (distance < 2) return distance;
    unsigned bits = 31 - (unsigned)__builtin_clz(distance);
    return 2 * bits + (distance >> (bits - 1) & 1);
}

/* How many bytes are equal, up to count; seven more may be read. */
INLINE size_t equal_bytes(const uint8_t *left, const uint8_t *right, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        uint64_t difference = load64(left + i) ^ load64(right + i);
        if (difference) {
            i += (size_t)__builtin_ctzll(difference) >> 3;
            return i < count ? i : count;
        }
    }
    return count;
}

typedef struct {
    uint32_t literals[SYMBOLS], distances[DISTANCES + 2];
    uint64_t extra_bits;
} Counts;

/* Count literals; three more bytes may be read. The rest of a run, whose length cannot be
   predicted, is counted without branches. */
INLINE void count_literals(uint32_t counts[4][256], const uint8_t *at, size_t count) {
    for (; count >= 4; at += 4, count -= 4) {
        counts[0][at[0]]++;
        counts[1][at[1]]++;
        counts[2][at[2]]++;
        counts[3][at[3]]++;
    }
    counts[0][at[0]] += count > 0;
    counts[1][at[1]] += count > 1;
    counts[2][at[2]] += count > 2;
}

/* Whether all bytes of a match are equal, if it is short: without branches. */
INLINE int are_equal(const uint8_t *left, const uint8_t *right, size_t count) {
    uint64_t first = load64(left) ^ load64(right), second = load64(left + 8) ^ load64(right + 8);
    unsigned unused = count < 8 ? 64 - 8 * (unsigned)count : 0, more = count > 8;
    uint64_t relevant = more ? second << (count < 16 ? 128 - 8 * (unsigned)count : 0) : 0;
    return count <= 16 && !(first << unused | relevant);
}

/* Keep what still matches of the matches, and count all symbols; the last match is the literals at
   the block's end. Returns how many matches are kept. */
static size_t validate(Recoder *r, Counts *counts) {
    uint32_t parts[4][256] = {{0}}, lengths[32] = {0}, distances[32] = {0};
    size_t kept = 0;
    uint32_t literals = 0;
    const uint8_t *new = r->after + r->start;
    for (size_t i = 0; i < r->count; i++) {
        Match match = r->matches[i];
        literals += match.literals;
        count_literals(parts, new, match.literals);
        new += match.literals;
        const uint8_t *old = new - match.distance - 1;
        size_t left = match.length;
        while (left) {
            size_t same = are_equal(new, old, left) ? left : equal_bytes(new, old, left);
            if (same >= 3) {
                r->valid[kept++] = (Match){literals, (uint16_t)same, match.distance};
                lengths[r->length_symbols[same]]++;
                distances[distance_symbol(match.distance)]++;
                literals = 0;
            } else {
                literals += (uint32_t)same;
                count_literals(parts, new, same);
            }
            new += same;
            old += same;
            left -= same;
            if (left) {
                literals++;
                parts[0][*new++]++;
                old++;
                left--;
            }
        }
    }
    size_t rest = r->end - (size_t)(new - r->after);
    count_literals(parts, new, rest);
    r->valid[kept] = (Match){literals + (uint32_t)rest, 0, 0};
    memset(counts, 0, sizeof *counts);
    for (size_t i = 0; i < 256; i++)
        counts->literals[i] = parts[0][i] + parts[1][i] + parts[2][i] + parts[3][i];
    counts->literals[END_OF_BLOCK] = 1;
    for (size_t i = 0; i < 29; i++) {
        counts->literals[LENGTHS + i] = lengths[i];
        counts->extra_bits += (uint64_t)lengths[i] * length_extra[i];
    }
    for (unsigned i = 0; i < DISTANCES; i++) {
        counts->distances[i] = distances[i];
        counts->extra_bits += (uint64_t)distances[i] * distance_extra(i);
    }
    return kept;
}

static uint64_t coded_bits(const Counts *counts, const uint8_t *literals, const uint8_t *distances) {
    uint64_t bits = counts->extra_bits;
    for (size_t i = 0; i < SYMBOLS; i++) bits += (uint64_t)counts->literals[i] * literals[i];
    for (size_t i = 0; i < DISTANCES; i++) bits += (uint64_t)counts->distances[i] * distances[i];
    return bits;
}

/* The lengths of both codes as symbols of the code of code lengths (3.2.7). */
typedef struct {
    uint8_t symbols[SYMBOLS + 32], repeats[SYMBOLS + 32]; /* and their extra bits */
    size_t count, literals, distances, orders;
    uint8_t lengths[19];
    uint64_t bits;
} Head;

static void describe(Head *head, const uint8_t *literals, const uint8_t *distances) {
    uint8_t all[SYMBOLS + 32];
    uint32_t counts[19] = {0};
    for (head->literals = 286; head->literals > 257 && !literals[head->literals - 1];) head->literals--;
    for (head->distances = DISTANCES; head->distances > 1 && !distances[head->distances - 1];)
        head->distances--;
    memcpy(all, literals, head->literals);
    memcpy(all + head->literals, distances, head->distances);
    size_t size = head->literals + head->distances, run;
    head->count = 0;
    for (size_t i = 0; i < size; i += run) {
        uint8_t symbol = all[i], repeat = 0;
        for (run = 1; i + run < size && all[i + run] == all[i] && run < 138;) run++;
        if (!symbol && run >= 3) {
            symbol = run < 11 ? 17 : 18;
            repeat = (uint8_t)(run - (run < 11 ? 3 : 11));
        } else if (i && symbol == all[i - 1] && run >= 3) {
            if (run > 6) run = 6;
            symbol = 16, repeat = (uint8_t)(run - 3);
        } else {
            run = 1;
        }
        head->symbols[head->count] = symbol;
        head->repeats[head->count++] = repeat;
        counts[symbol]++;
    }
    huffman(counts, 19, 7, head->lengths);
    for (head->orders = 19; head->orders > 4 && !head->lengths[code_order[head->orders - 1]];)
        head->orders--;
    head->bits = 14 + 3 * head->orders + 2 * counts[16] + 3 * counts[17] + 7 * counts[18];
    for (size_t i = 0; i < 19; i++) head->bits += (uint64_t)counts[i] * head->lengths[i];
}

static void put_head(Output *out, const Head *head) {
    uint16_t codes[19] = {0};
    int longest;
    codes_of(head->lengths, 19, codes, &longest);
    put(out, head->literals - 257, 5);
    put(out, head->distances - 1, 5);
    put(out, head->orders - 4, 4);
    for (size_t i = 0; i < head->orders; i++) put(out, head->lengths[code_order[i]], 3);
    for (size_t i = 0; i < head->count; i++) {
        unsigned symbol = head->symbols[i];
        put(out, codes[symbol], head->lengths[symbol]);
        if (symbol >= 16) put(out, head->repeats[i], symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
    }
}

/* A code and its length in one number. */
INLINE uint32_t packed(const uint16_t *codes, const uint8_t *lengths, size_t symbol) {
    return (uint32_t)(codes[symbol] << 8 | lengths[symbol]);
}

static void put_symbols(Output *output, const Recoder *r, size_t kept, const uint8_t *literal_lengths,
                        const uint8_t *distance_lengths) {
    uint16_t literal_codes[SYMBOLS] = {0}, distance_codes[32] = {0};
    uint32_t code[SYMBOLS];
    int longest;
    codes_of(literal_lengths, SYMBOLS, literal_codes, &longest);
    codes_of(distance_lengths, 32, distance_codes, &longest);
    for (size_t i = 0; i < SYMBOLS; i++) code[i] = packed(literal_codes, literal_lengths, i);
    const uint8_t *at = r->after + r->start;
    Output out = *output;
    for (size_t i = 0; i <= kept; i++) {
        Match match = r->valid[i];
        const uint8_t *end = at + match.literals;
        for (; end - at >= 4; at += 4) {
            uint32_t a = code[at[0]], b = code[at[1]], c = code[at[2]], d = code[at[3]];
            unsigned ab = (a & 255) + (b & 255), cd = (c & 255) + (d & 255);
            uint64_t left = a >> 8 | (uint64_t)(b >> 8) << (a & 255);
            uint64_t right = c >> 8 | (uint64_t)(d >> 8) << (c & 255);
            put(&out, left | right << ab, ab + cd);
        }
        size_t rest = (size_t)(end - at); /* without branches, as its number cannot be predicted */
        uint32_t a = rest > 0 ? code[at[0]] : 0, b = rest > 1 ? code[at[1]] : 0;
        uint32_t c = rest > 2 ? code[at[2]] : 0;
        unsigned ab = (a & 255) + (b & 255);
        uint64_t value = a >> 8 | (uint64_t)(b >> 8) << (a & 255) | (uint64_t)(c >> 8) << ab;
        put(&out, value, ab + (c & 255));
        at = end;
        if (i == kept) break;
        unsigned length = r->length_symbols[match.length], distance = distance_symbol(match.distance);
        uint32_t bits = code[LENGTHS + length] & 255;
        value = code[LENGTHS + length] >> 8 | (uint64_t)(match.length - length_base[length]) << bits;
        bits += length_extra[length];
        value |= (uint64_t)distance_codes[distance] << bits;
        bits += distance_lengths[distance];
        value |= (uint64_t)(match.distance + 1u - distance_base(distance)) << bits;
        put(&out, value, bits + distance_extra(distance));
        at += match.length;
    }
    put(&out, code[END_OF_BLOCK] >> 8, code[END_OF_BLOCK] & 255);
    *output = out;
}

static void put_stored(Output *out, const uint8_t *data, size_t size, int is_last) {
    do {
        size_t part = size < STORED ? size : STORED;
        put(out, is_last && part == size, 3);
        if (out->count) put(out, 0, 8 - out->count);
        put(out, part | (uint64_t)(part ^ 0xFFFF) << 16, 32);
        memcpy(out->at, data, part);
        out->at += part;
        data += part;
        size -= part;
    } while (size);
}

/* Bytes that a block of so many bytes can need. */
static size_t most_bytes(size_t size) { return size + 5 * (size / STORED + 1) + 32; }

/* Change and write the block; its window stays. */
static int flush(Recoder *r, Output *out) {
    size_t size = r->end - r->start;
    int is_last = r->resumed == AT_CHECKSUM;
    memcpy(r->after + r->start, r->before + r->start, size);
    int status = r->change(r->context, r->before + r->start, r->after + r->start, size);
    if (status != DONE) return status;
    r->adler_before = adler32(r->adler_before, r->before + r->start, size);
    r->adler_after = adler32(r->adler_after, r->after + r->start, size);
    if (size || is_last) {
        Counts counts;
        Head head;
        uint8_t literals[SYMBOLS], distances[32] = {0}, fixed[SYMBOLS], fixed_distances[32];
        size_t kept = validate(r, &counts);
        fixed_lengths(fixed, fixed_distances);
        uint64_t fixed_bits = coded_bits(&counts, fixed, fixed_distances);
        literals[286] = literals[287] = 0;
        huffman(counts.literals, 286, MAX_OWN_BITS, literals);
        huffman(counts.distances, DISTANCES, MAX_OWN_BITS, distances);
        describe(&head, literals, distances);
        uint64_t dynamic_bits = head.bits + coded_bits(&counts, literals, distances);
        uint64_t least = fixed_bits < dynamic_bits ? fixed_bits : dynamic_bits;
        if (least / 8 > size + 4 + 5 * (size / STORED)) {
            put_stored(out, r->after + r->start, size, is_last);
        } else {
            int is_dynamic = dynamic_bits < fixed_bits;
            put(out, (uint64_t)is_last | (is_dynamic ? 2 : 1) << 1, 3);
            if (is_dynamic) put_head(out, &head);
            put_symbols(out, r, kept, is_dynamic ? literals : fixed, is_dynamic ? distances : fixed_distances);
        }
    }
    if (r->end > WINDOW + SLIDE) {
        memmove(r->before, r->before + r->end - WINDOW, WINDOW);
        memmove(r->after, r->after + r->end - WINDOW, WINDOW);
        r->end = WINDOW;
    }
    r->start = r->literals = r->end;
    r->count = 0;
    r->state = r->resumed;
    return DONE;
}

/* Give back whole bytes that were read too early. */
static void give_back(Input *in) {
    in->at -= in->count >> 3;
    in->count &= 7;
    in->bits &= (1u << in->count) - 1;
}

static int begin_block(Recoder *r, Input *in) {
    refill(in);
    r->is_last = (int)take(in, 1);
    switch (take(in, 2)) {
    case 0:
        take(in, in->count & 7);
        give_back(in);
        r->stored = in->at[0] | (size_t)in->at[1] << 8;
        if ((r->stored ^ 0xFFFF) != (in->at[2] | (size_t)in->at[3] << 8)) return DAMAGED;
        in->at += 4;
        r->state = IN_STORED;
        return DONE;
    case 1:
        use_fixed_codes(r);
        break;
    case 2:
        if (!read_codes(r, in)) return DAMAGED;
        break;
    default:
        return DAMAGED;
    }
    r->state = IN_CODES;
    return DONE;
}

static int read_stored(Recoder *r, Input *in) {
    size_t part = r->start + BLOCK - r->end, left = (size_t)(in->end - in->at);
    if (part > r->stored) part = r->stored;
    if (part > left) part = left;
    memcpy(r->before + r->end, in->at, part);
    in->at += part;
    r->end += part;
    r->stored -= part;
    if (r->stored && r->end < r->start + BLOCK) return NEEDS_INPUT;
    if (!r->stored) {
        end_block(r, r->end - r->start);
        return DONE;
    }
    r->resumed = IN_STORED;
    r->state = AT_FLUSH;
    return DONE;
}

/* zlib's header and checksum (RFC 1950, 2.2), which are big-endian. */
static int read_header(Recoder *r, Input *in, Output *out) {
    unsigned first = in->at[0], second = in->at[1];
    if ((first & 15) != 8 || first >> 4 > 7 || (first << 8 | second) % 31 || second & 32) return DAMAGED;
    put(out, first | second << 8, 16);
    in->at += 2;
    r->state = AT_BLOCK;
    return DONE;
}

static int read_checksum(Recoder *r, Input *in, Output *out) {
    take(in, in->count & 7);
    give_back(in);
    uint32_t sum;
    memcpy(&sum, in->at, 4);
    in->at += 4;
    if (__builtin_bswap32(sum) != r->adler_before) return DAMAGED;
    if (out->count) put(out, 0, 8 - out->count);
    put(out, __builtin_bswap32(r->adler_after), 32);
    r->state = AT_END;
    return DONE;
}

/* Bytes of memory that a recoder needs. */
size_t recoder_size(void) { return sizeof(Recoder); }

/* Prepare a recoder in zeroed memory. change: changes `after`, a copy of `before`, the next bytes
   of the data, in place; it returns DONE or what recoder_run then returns. */
void recoder_start(Recoder *r, int (*change)(void *, const uint8_t *, uint8_t *, size_t), void *context) {
    r->change = change;
    r->context = context;
    r->adler_before = r->adler_after = 1;
    for (unsigned symbol = 0; symbol < 29; symbol++)
        for (unsigned length = length_base[symbol]; length <= MAX_MATCH; length++)
            r->length_symbols[length] = (uint8_t)symbol;
}

/* Recode the next part of a zlib stream.

   has_all: the input is followed by HEADER_BYTES zeros, within size, and no more comes; until then
   some input is left for the next call. Returns DONE at the end of the stream; NEEDS_INPUT, and
   NEEDS_SPACE if capacity does not suffice for the next block; else what is wrong. */
int recoder_run(Recoder *r, const uint8_t *data, size_t size, int has_all, uint8_t *into,
                size_t capacity, size_t *used, size_t *written) {
    Input in = {data, data + size, r->bits, r->bit_count};
    Output out = {into, r->out_bits, r->out_count};
    int status = DONE;
    while (status == DONE && r->state != AT_END) {
        if (r->state != IN_CODES) give_back(&in);
        if (r->state == AT_FLUSH) {
            if ((size_t)(out.at - into) + most_bytes(r->end - r->start) > capacity) status = NEEDS_SPACE;
            else status = flush(r, &out);
        } else if (r->state == IN_CODES) {
            status = read_symbols(r, &in);
        } else if (r->state == IN_STORED) {
            status = read_stored(r, &in);
        } else if (in.end - in.at < HEADER_BYTES) {
            status = NEEDS_INPUT;
        } else {
            status = r->state == AT_HEADER  ? read_header(r, &in, &out)
                     : r->state == AT_BLOCK ? begin_block(r, &in)
                                            : read_checksum(r, &in, &out);
        }
    }
    give_back(&in);
    if (has_all && (status == NEEDS_INPUT || (status == DONE && in.end - in.at < HEADER_BYTES)))
        status = TRUNCATED;
    r->bits = in.bits;
    r->bit_count = in.count;
    r->out_bits = out.bits;
    r->out_count = out.count;
    *used = (size_t)(in.at - data);
    *written = (size_t)(out.at - into);
    return status;
}
