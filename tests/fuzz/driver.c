/* Mutates files and negates them, to be built with sanitizers: driver SECONDS SEED FILE...

   Every negative of a JPEG is negated again: the kernel must support its own results. Input and
   output are allocated with their exact sizes, so that sanitizers notice any access beyond. Prints
   the number of inputs tried and of those negated. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int jpeg_negate(const uint8_t *, size_t, const uint8_t *, size_t, uint8_t *, size_t, int, int,
                int, size_t *, size_t *, int *);
int png_negate(uint8_t *, size_t, size_t, size_t, size_t, int, uint8_t *);
size_t gif_blocks(const uint8_t *, size_t, size_t);

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

static int jpeg(const uint8_t *data, size_t size, int again) {
    size_t used, written, part = size > 2 ? 2 : size, room = 2 * size + 8192;
    uint8_t *head = copy(data, part), *tail = copy(data + part, size - part), *out = malloc(room);
    if (!out) abort();
    int anew = (int)dice(2), dropped;
    int rc = jpeg_negate(head, part, tail, size - part, out, room, -1, anew, -1, &used, &written,
                         &dropped);
    if (!rc && (written > room || used > size)) abort();
    if (!rc && !again && jpeg(out, written, 1)) abort();
    free(head), free(tail), free(out);
    return again && rc == 4 ? 0 : rc; /* NO_CODE: a code may be missing for the way back */
}

static void rows(const uint8_t *data, size_t size) {
    static const size_t pixels[] = {1, 2, 3, 4, 6, 8}, alphas[] = {0, 1, 0, 1, 0, 2};
    uint32_t kind = dice(6);
    size_t length = 1 + dice(100), count = size / (length + 1);
    uint8_t *block = copy(data, count * (length + 1)), *decoded = calloc(2, length);
    for (size_t i = 0; i < count; i++) block[i * (length + 1)] = (uint8_t)dice(6);
    png_negate(block, count, length, pixels[kind], pixels[kind] - alphas[kind], (int)dice(2),
               dice(2) ? decoded : NULL);
    free(block), free(decoded);
    uint8_t *blocks = copy(data, size);
    gif_blocks(blocks, size, dice((uint32_t)size + 2));
    free(blocks);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    time_t end = time(NULL) + atoi(argv[1]);
    state = 88172645463325252u ^ (uint64_t)atoll(argv[2]);
    long tried = 0, taken = 0;
    while (time(NULL) < end) {
        for (int i = 3; i < argc; i++) {
            FILE *file = fopen(argv[i], "rb");
            static uint8_t data[1 << 17];
            size_t size = file ? fread(data, 1, sizeof data, file) : 0;
            if (!file || !size) return 2;
            fclose(file);
            for (int n = 0; n < 20; n++) {
                uint8_t *mutated = copy(data, size);
                size_t left = mutate(mutated, size);
                taken += !jpeg(mutated, left, 0);
                if (n == 0) rows(mutated, left);
                free(mutated);
                tried++;
            }
        }
    }
    printf("%ld inputs, %ld of them taken\n", tried, taken);
    return 0;
}
