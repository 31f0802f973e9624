#define _GNU_SOURCE 1                            /* strverscmp, vasprintf */
#include "inputs.h"
#include "images.h"
#include <sys/stat.h>
#include <fts.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define THEME "/usr/share/icons/Adwaita"
enum { JPEG_FROM_BYTES = 8000, DAMAGE_ONE_IN = 50, OWN_PICTURES = 400 };

static uint64_t dice;                            /* one seed for all chances: every run damages the same bytes of the same files */

static uint64_t roll(uint64_t sides) {
    return random_mix(++dice) % sides;
}

/* ---- the list ---- */

static void insert(input_list *list, size_t position, bool damaged, carom_argument argument, const char *format, ...) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 1024;
        list->items = must_alloc(realloc(list->items, list->capacity * sizeof *list->items));
    }
    memmove(list->items + position + 1, list->items + position, (list->count++ - position) * sizeof *list->items);
    input *new = &list->items[position];
    *new = (input){ NULL, damaged, argument };
    va_list names;
    va_start(names, format);
    if (vasprintf(&new->name, format, names) < 0) must_alloc(NULL);
    va_end(names);
}

void inputs_free(input_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free((void *)list->items[i].argument.data);
    }
    free(list->items);
}

/* ---- damage ---- */

static void add_cut(input_list *list, const char *name, bytes file) {
    size_t kept = file.len / 10 + roll(file.len * 8 / 10);
    void *copy = memcpy(must_alloc(malloc(kept)), file.data, kept);
    insert(list, list->count, true, CAROM_BYTES(copy, kept), "%s (first %zu of %zu bytes)", name, kept, file.len);
}

static void add_flipped(input_list *list, const char *name, bytes file) {
    uint8_t *copy = memcpy(must_alloc(malloc(file.len)), file.data, file.len);
    unsigned flips = 1 + (unsigned)roll(8);
    for (unsigned i = 0; i < flips; i++) {
        uint64_t bit = roll(file.len * 8);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    insert(list, list->count, true, CAROM_BYTES(copy, file.len), "%s (%u bits flipped)", name, flips);
}

/* Files that are no victims of chance: what people upload. Spread over the list, or the first would hide the rest; the bomb is
 * the last, for nothing holds it in a plain loop. */
static void add_strangers(input_list *list) {
    bytes bomb = image_bomb();
    insert(list, list->count * 7 / 8, true, CAROM_BYTES(bomb.data, bomb.len), "image-bomb.png");
    bytes forged = image_forged();
    insert(list, list->count * 3 / 4, true, CAROM_BYTES(forged.data, forged.len), "forged-size.png");
    bytes endless = image_endless();
    insert(list, list->count * 5 / 8, true, CAROM_BYTES(endless.data, endless.len), "endless-scans.jpg");
    static const char note[] = "Dear all, please find attached the holiday pictures.\n";
    insert(list, list->count / 2, true, CAROM_BYTES(must_alloc(strdup(note)), sizeof note - 1), "mail-without-attachment.jpg");
    uint8_t *noise = must_alloc(malloc(4096));
    for (size_t i = 0; i < 4096; i++) noise[i] = (uint8_t)roll(256);
    insert(list, list->count / 4, true, CAROM_BYTES(noise, 4096), "not-an-image.png");
}

/* ---- pictures ---- */

static void add_jpeg(input_list *list, const char *name, const image *picture, bool damage) {
    char jpeg[4096];
    snprintf(jpeg, sizeof jpeg, "%.*s.jpg", (int)(strlen(name) - strlen(".png")), name);
    bytes file = image_jpeg(picture, roll(360));
    insert(list, list->count, false, CAROM_BYTES(file.data, file.len), "%s", jpeg);
    if (!damage) return;
    add_cut(list, jpeg, file);
    add_flipped(list, jpeg, file);
}

static void damage_file(input_list *list, const char *name, const char *path, size_t len) {
    FILE *file = fopen(path, "rb");
    bytes whole = { must_alloc(malloc(len)), len };
    if (file && fread(whole.data, len, 1, file) == 1) (roll(2) ? add_cut : add_flipped)(list, name, whole);
    if (file) fclose(file);
    free(whole.data);
}

/* 512x512 before 16x16 before 8x8: the pretty ones first. */
static int by_name(const FTSENT **left, const FTSENT **right) {
    return strverscmp((*right)->fts_name, (*left)->fts_name);
}

static bool ends_with(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && strcasecmp(name + len - end_len, end) == 0;
}

static void add_directory(input_list *list, const char *directory, bool make_jpegs, bool damage) {
    FTS *walk = must_alloc(fts_open((char *[]){ (char *)directory, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, by_name));
    for (FTSENT *entry; (entry = fts_read(walk));) {
        bool png = ends_with(entry->fts_name, ".png");
        bool jpeg = ends_with(entry->fts_name, ".jpg") || ends_with(entry->fts_name, ".jpeg");
        if (entry->fts_info != FTS_F || !(png || jpeg)) continue;
        const char *path = entry->fts_path, *name = path + strlen(directory);
        size_t len = (size_t)entry->fts_statp->st_size;
        image picture;
        while (*name == '/') name++;
        if (!*name) name = entry->fts_name;                          /* the "directory" is a picture itself */
        insert(list, list->count, false, CAROM_STRING(must_alloc(strdup(path)), strlen(path) + 1), "%s", name);
        if (damage && len > 10 && roll(DAMAGE_ONE_IN) == 0) damage_file(list, name, path, len);
        if (make_jpegs && png && len >= JPEG_FROM_BYTES && image_load(path, &picture)) {
            add_jpeg(list, name, &picture, damage);
            free(picture.pixels);
        }
    }
    fts_close(walk);
}

static void add_own(input_list *list, bool damage) {
    for (unsigned i = 0; i < OWN_PICTURES; i++) {
        char name[32];
        snprintf(name, sizeof name, "own-%03u.png", i);
        image picture = image_draw(i);
        bytes file = image_png(&picture);
        insert(list, list->count, false, CAROM_BYTES(file.data, file.len), "%s", name);
        if (damage && i % 8 == 7) (i % 16 == 7 ? add_cut : add_flipped)(list, name, file);
        if (i % 8 == 3) add_jpeg(list, name, &picture, damage);
        free(picture.pixels);
    }
}

input_list inputs_gather(const char *directory, bool damage) {
    input_list list = { NULL, 0, 0 };
    add_directory(&list, directory ? directory : THEME, !directory, damage);
    if (list.count == 0 && !directory) add_own(&list, damage);
    if (list.count > 0 && damage) add_strangers(&list);
    return list;
}
