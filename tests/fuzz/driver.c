/* Mutates files and negates them, to be built with sanitizers: driver SECONDS SEED FILE...

   Every negative of a JPEG is negated again: the kernel must support its own results. The files are
   also taken as samples and as compressed segments of TIFFs; zlib streams are recoded. Input and
   output are allocated with their exact sizes, so that sanitizers notice any access beyond. Prints
   the number of inputs tried and of those negated. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEAST 2000  /* inputs, however slow the computer is */

int jpeg_negate(const uint8_t *, size_t, const uint8_t *, size_t, uint8_t *, size_t, int, int,
                int, size_t *, size_t *, int *);
size_t png_size(void);
void png_start(void *, const size_t *, size_t, size_t, size_t, uint8_t *);
int png_change(void *, const uint8_t *, uint8_t *, size_t);
size_t recoder_size(void);
void recoder_start(void *, int (*)(void *, const uint8_t *, uint8_t *, size_t), void *);
int recoder_run(void *, const uint8_t *, size_t, int, uint8_t *, size_t, size_t *, size_t *);
size_t gif_blocks(const uint8_t *, size_t, size_t);
void tiff_complement(uint8_t *, size_t, size_t, const uint8_t *);
void tiff_complement_differences(uint8_t *, size_t, size_t, const uint8_t *, size_t, int, int);
int tiff_complement_premultiplied(uint8_t *, size_t, size_t, int, int, size_t, size_t, int);
int lzw_complement(const uint8_t *, size_t, uint8_t *, uint64_t, uint64_t *);
size_t lzw_decoder_size(void);
int lzw_decode(void *, const uint8_t *, size_t, uint8_t *, size_t, size_t *);
size_t lzw_encoder_size(void);
size_t lzw_encode(void *, const uint8_t *, size_t, int, uint8_t *);
int packbits_complement(uint8_t *, size_t, uint64_t, uint64_t *);
int packbits_decode(const uint8_t *, size_t, size_t *, uint8_t *, size_t, size_t *);
size_t packbits_encode(const uint8_t *, size_t, size_t, uint8_t *);

static uint64_t state;
static uint32_t dice(uint32_t sides) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717u) >> 33) % sides;
}

static uint8_t *copy(const uint8_t *from, size_t size) {
    uint8_t *to = malloc(size ? size : 1);
    if (!to) abort();
    if (size) memcpy(to, from, size);
    return to;
}

static size_t mutate(uint8_t *data, size_t size) {
    static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0xC0, 0xC2, 0xC4, 0xD0, 0xD9, 0xDA};
    /* Half of the changes fall into the first 1 KB, where the segments are. */
    for (uint32_t n = dice(8); n--;) {
        uint32_t range = (uint32_t)size > 1024 && dice(2) ? 1024 : (uint32_t)size;
        size_t at = dice(range);
        uint32_t kind = dice(6);
        if (kind == 0) data[at] ^= (uint8_t)(1u << dice(8));
        if (kind == 1) data[at] = telling[dice(sizeof telling)];
        if (kind == 2) data[at] = (uint8_t)dice(256);
        if (kind >= 3 && kind < 5) { /* move a piece */
            size_t from = dice(range), length = dice(64);
            if (length > size - at) length = size - at;
            if (length > size - from) length = size - from;
            memmove(data + at, data + from, length);
        }
        if (kind == 5 && !dice(4)) size = at + 1;
    }
    return size;
}

static int jpeg(const uint8_t *data, size_t size, int brightness, int again) {
    size_t used, written, part = size > 2 ? 2 : size, room = 2 * size + 8192;
    uint8_t *head = copy(data, part), *tail = copy(data + part, size - part), *out = malloc(room);
    if (!out) abort();
    int anew = (int)dice(2), dropped;
    int rc = jpeg_negate(head, part, tail, size - part, out, room, -1, anew, brightness, &used,
                         &written, &dropped);
    if (!rc && (written > room || used > size)) abort();
    if (!rc && !again && jpeg(out, written, brightness, 1)) abort();
    free(head), free(tail), free(out);
    return again && rc == 4 ? 0 : rc; /* NO_CODE: a code may be missing for the way back */
}

/* Change bytes without their rows, so that most streams are recoded to their end. */
static int change(void *seen, const uint8_t *before, uint8_t *after, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (++*(size_t *)seen % 50) after[i] = (uint8_t)-before[i];
    return 0;
}

/* Recode a zlib stream in parts, as rows of random sizes. */
static void recode(const uint8_t *data, size_t size) {
    static const size_t pixels[] = {1, 2, 3, 4, 6, 8}, alphas[] = {0, 1, 0, 1, 0, 2};
    enum { PADDING = 600, SPACE = (1 << 20) + (1 << 16) };
    uint32_t kind = dice(6);
    size_t passes[14], count = 1 + dice(7), longest = 0, at = 0, used = 0, written, seen = 0;
    for (size_t i = 0; i < 2 * count; i++) passes[i] = 1 + dice(60);
    for (size_t i = 1; i < 2 * count; i += 2) longest = passes[i] > longest ? passes[i] : longest;
    uint8_t *decoded = dice(2) ? calloc(2, longest) : NULL, *out = malloc(SPACE);
    void *png = calloc(1, png_size()), *recoder = calloc(1, recoder_size());
    if (!out || !png || !recoder) abort();
    png_start(png, passes, count, pixels[kind], pixels[kind] - alphas[kind], decoded);
    if (dice(4)) recoder_start(recoder, change, &seen);
    else recoder_start(recoder, png_change, png);
    for (int rc = 3, last = 0; rc == 3 && !last;) { /* NEEDS_INPUT */
        size_t part = size - at - used;
        at += used;
        if (dice(2)) part = dice((uint32_t)part + 1);
        last = at + part == size;
        uint8_t *in = calloc(1, part + PADDING + 1), *exact;
        if (!in) abort();
        memcpy(in, data + at, part);
        exact = copy(in, part + (last ? PADDING : 0));
        free(in);
        rc = recoder_run(recoder, exact, part + (last ? PADDING : 0), last, out, SPACE, &used, &written);
        if (used > part + PADDING || written > SPACE) abort();
        free(exact);
    }
    free(decoded), free(out), free(png), free(recoder);
}

static void blocks(const uint8_t *data, size_t size) {
    uint8_t *exact = copy(data, size);
    gif_blocks(exact, size, dice((uint32_t)size + 2));
    free(exact);
}

static void samples(const uint8_t *data, size_t size) {
    static const int widths[] = {1, 2, 4};
    int bytes = widths[dice(3)], big = (int)dice(2), differences = (int)dice(2);
    size_t channels = 1 + dice(5), colors = 1 + dice((uint32_t)channels), columns = 1 + dice(40);
    size_t pixel = channels * (size_t)bytes, length = columns * pixel, count = size / length;
    uint8_t *block = copy(data, count * length), *mask = calloc(length, 1);
    for (size_t i = 0; i < length; i++) mask[i] = i % pixel < colors * (size_t)bytes ? 255 : 0;
    for (int twice = 0; twice < 2; twice++) {
        if (differences) tiff_complement_differences(block, count, length, mask, pixel, bytes, big);
        else tiff_complement(block, count, length, mask);
    }
    if (memcmp(block, data, count * length)) abort();
    if (colors < channels) {
        int rc = tiff_complement_premultiplied(block, count, columns, bytes, big, channels, colors,
                                               differences);
        if (!rc) tiff_complement_premultiplied(block, count, columns, bytes, big, channels, colors,
                                               differences);
        if (!rc && memcmp(block, data, count * length)) abort();
    }
    free(block), free(mask);
}

enum { ROOM = 1 << 20 };
typedef int decoder(const uint8_t *, size_t, uint8_t *, size_t *);

static int lzw(const uint8_t *data, size_t size, uint8_t *to, size_t *made) {
    void *state = calloc(1, lzw_decoder_size());
    int rc = lzw_decode(state, data, size, to, ROOM, made);
    free(state);
    return rc;
}

static int packbits(const uint8_t *data, size_t size, uint8_t *to, size_t *made) {
    size_t at = 0;
    return packbits_decode(data, size, &at, to, ROOM, made);
}

/* What a decoder makes of complemented code is the complement of what it made before. */
static void check_complement(decoder *decode, const uint8_t *data, size_t size, int is_lzw) {
    uint8_t *in = copy(data, size), *to = malloc(ROOM), *code = copy(data, size), *other = malloc(ROOM);
    size_t made, again;
    uint64_t length;
    if (!to || !other) abort();
    int rc = decode(in, size, to, &made), status;
    if (is_lzw) memset(code, 0, size);
    if (is_lzw) status = lzw_complement(in, size, code, ~(uint64_t)0, &length);
    else status = packbits_complement(code, size, ~(uint64_t)0, &length);
    if (rc != 2 && rc != status) abort(); /* 2: more than fits */
    if (!rc) {
        if (length != made || decode(code, size, other, &again) || again != made) abort();
        for (size_t i = 0; i < made; i++)
            if ((to[i] ^ other[i]) != 255) abort();
    }
    free(in), free(to), free(code), free(other);
}

static void segments(const uint8_t *data, size_t size) {
    size_t made, room = 2 * size + 16, split = dice((uint32_t)size + 1), length = 1 + dice(300);
    uint8_t *code = malloc(room), *to = malloc(ROOM), *part = malloc(room);
    void *state = calloc(1, lzw_encoder_size());
    if (!code || !to || !part || !state) abort();
    made = lzw_encode(state, data, split, 0, code);
    made += lzw_encode(state, data + split, size - split, 1, code + made);
    size_t decoded;
    if (lzw(code, made, to, &decoded) || decoded != size || memcmp(to, data, size)) abort();
    check_complement(lzw, code, made, 1);
    for (int n = 0; n < 4; n++) check_complement(lzw, code, mutate(code, made), 1);
    check_complement(lzw, data, size, 1);
    size_t count = size / length, most = count * (length + length / 128 + 1);
    free(part);
    part = malloc(most ? most : 1);
    if (!part) abort();
    made = packbits_encode(data, count, length, part);
    if (packbits(part, made, to, &decoded) || decoded != count * length ||
        memcmp(to, data, decoded))
        abort();
    check_complement(packbits, part, made, 0);
    check_complement(packbits, data, size, 0);
    free(code), free(to), free(part), free(state);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    time_t end = time(NULL) + atoi(argv[1]), last = end + 9 * atoi(argv[1]);
    state = 88172645463325252u ^ (uint64_t)atoll(argv[2]);
    long tried = 0, taken = 0;
    while (time(NULL) < end || (time(NULL) < last && (tried < LEAST || !taken))) {
        for (int i = 3; i < argc; i++) {
            FILE *file = fopen(argv[i], "rb");
            static uint8_t data[1 << 17];
            size_t size = file ? fread(data, 1, sizeof data, file) : 0;
            if (!file || !size) return 2;
            fclose(file);
            for (int n = 0; n < 20; n++) {
                uint8_t *mutated = copy(data, size);
                size_t left = mutate(mutated, size);
                if (left > 2 && mutated[0] == 0x78) recode(mutated, left);
                else taken += !jpeg(mutated, left, dice(2) ? -1 : (int)dice(256), 0);
                if (n == 0) {
                    blocks(mutated, left);
                    samples(mutated, left);
                    segments(mutated, left);
                }
                free(mutated);
                tried++;
            }
        }
    }
    printf("%ld inputs, %ld of them taken\n", tried, taken);
    return 0;
}
