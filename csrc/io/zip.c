#include "io/zip.h"

#include <stdbool.h>
#include <string.h>

#include "io/bytes.h"

/* The sizes and signatures of APPNOTE.TXT, PKWARE's description of the format. */
enum { LOCAL_BYTES = 30, DESCRIPTOR_BYTES = 16, CENTRAL_BYTES = 46, END_BYTES = 22 };
enum { END64_BYTES = 56, LOCATOR_BYTES = 20 };
enum {
    LOCAL_MARK = 0x04034b50,
    DESCRIPTOR_MARK = 0x08074b50,
    CENTRAL_MARK = 0x02014b50,
    END_MARK = 0x06054b50,
    END64_MARK = 0x06064b50,
    LOCATOR_MARK = 0x07064b50,
};

#define FLAG_ENCRYPTED 0x0001u
#define FLAG_DESCRIPTOR 0x0008u /* CRC and sizes follow the data; the local header has zeros */
#define FLAG_UTF8 0x0800u
#define IN_ZIP64 0xFFFFFFFFu

/* One record of the directory. */
typedef struct {
    int index;
    uint32_t flags, method, crc, packed_bytes, n_bytes, offset;
    size_t n_name, n_extra, n_comment;
    const uint8_t *name;
} record;

/* Where reading stands: in the directory, and in the entries that it describes. */
typedef struct {
    const uint8_t *bytes;
    size_t directory, directory_end; /* the entries end where the directory starts */
    size_t at;                       /* in the directory */
    size_t entry_at;                 /* where the next entry must start */
} cursor;

static uint32_t u16(const uint8_t *bytes) {
    return (uint32_t)sd_little_endian(bytes, 2);
}

static uint32_t u32(const uint8_t *bytes) {
    return (uint32_t)sd_little_endian(bytes, 4);
}

static uint64_t u64(const uint8_t *bytes) {
    return sd_little_endian(bytes, 8);
}

/* The reflected CRC-32 of polynomial 0x04C11DB7, four bits at a time. */
static uint32_t crc32_of(const uint8_t *bytes, size_t n_bytes) {
    uint32_t table[16], crc = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < 16; i++) {
        table[i] = i;
        for (int bit = 0; bit < 4; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
    }
    for (size_t i = 0; i < n_bytes; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* What the end record says of the directory. */
typedef struct {
    uint32_t n_entries, n_bytes, offset;
} extent;

/* torch.save writes the end record in its zip64 form too, and a locator of that form: they must
 * repeat what the plain record says. */
static bool does_repeat(const uint8_t *end64, const extent *said) {
    const uint8_t *locator = end64 + END64_BYTES;
    uint64_t end64_at = (uint64_t)said->offset + said->n_bytes;
    return u32(end64) == END64_MARK && u64(end64 + 4) == END64_BYTES - 12 && u64(end64 + 16) == 0 &&
           u64(end64 + 24) == said->n_entries && u64(end64 + 32) == said->n_entries &&
           u64(end64 + 40) == said->n_bytes && u64(end64 + 48) == said->offset &&
           u32(locator) == LOCATOR_MARK && u32(locator + 4) == 0 && u64(locator + 8) == end64_at &&
           u32(locator + 16) == 1;
}

static sd_status read_end(const uint8_t *bytes, size_t n_bytes, extent *said) {
    SD_REQUIRE(n_bytes >= END_BYTES && u32(bytes + n_bytes - END_BYTES) == END_MARK, BAD_FILE,
               "zip: the last %d bytes are not the end record of an archive without comment",
               END_BYTES);
    const uint8_t *end = bytes + n_bytes - END_BYTES;
    *said = (extent){u16(end + 10), u32(end + 12), u32(end + 16)};
    SD_REQUIRE(said->n_entries != 0xFFFF && said->n_bytes != IN_ZIP64 && said->offset != IN_ZIP64,
               BAD_FILE, "zip: the archive is zip64, which is not read");
    SD_REQUIRE(u32(end + 4) == 0 && u16(end + 8) == said->n_entries, BAD_FILE,
               "zip: the archive spans several disks");
    SD_REQUIRE(u16(end + 20) == 0, BAD_FILE, "zip: a comment of %u bytes is announced but missing",
               u16(end + 20));
    SD_REQUIRE(said->n_entries <= SD_ZIP_MAX_ENTRIES, BAD_FILE,
               "zip: %u entries: at most %d are read", said->n_entries, SD_ZIP_MAX_ENTRIES);
    return SD_OK;
}

static sd_status find_directory(const uint8_t *bytes, size_t n_bytes, cursor *c, int *n_entries) {
    extent said = {0};
    SD_TRY(read_end(bytes, n_bytes, &said));
    uint64_t end64 = (uint64_t)said.offset + said.n_bytes, end = n_bytes - END_BYTES;
    bool is_repeated = end - end64 == END64_BYTES + LOCATOR_BYTES && end64 < end;
    SD_REQUIRE(end64 == end || (is_repeated && does_repeat(bytes + end64, &said)), BAD_FILE,
               "zip: the directory's %u bytes at byte %u do not end where the end records start",
               said.n_bytes, said.offset);
    *c = (cursor){.bytes = bytes,
                  .directory = said.offset,
                  .directory_end = (size_t)end64,
                  .at = said.offset};
    *n_entries = (int)said.n_entries;
    return SD_OK;
}

/* A relative path in forward slashes that leads nowhere else. */
static bool is_tame(const uint8_t *name, size_t n_name) {
    size_t start = 0; /* of the part between slashes */
    for (size_t i = 0; i <= n_name; i++) {
        if (i < n_name && (name[i] < 0x20 || name[i] == '\\' || name[i] == 0x7F))
            return false;
        if (i < n_name && name[i] != '/')
            continue;
        bool is_dots = i - start <= 2 && memcmp(name + start, "..", i - start) == 0;
        if (is_dots) /* "", "." or ".." */
            return false;
        start = i + 1;
    }
    return true;
}

static sd_status read_record(cursor *c, record *r) {
    size_t left = c->directory_end - c->at;
    const uint8_t *from = c->bytes + c->at;
    SD_REQUIRE(left >= CENTRAL_BYTES && u32(from) == CENTRAL_MARK, BAD_FILE,
               "zip: the directory has no record of entry %d at byte %zu", r->index, c->at);
    *r = (record){.index = r->index,
                  .flags = u16(from + 8),
                  .method = u16(from + 10),
                  .crc = u32(from + 16),
                  .packed_bytes = u32(from + 20),
                  .n_bytes = u32(from + 24),
                  .n_name = u16(from + 28),
                  .n_extra = u16(from + 30),
                  .n_comment = u16(from + 32),
                  .offset = u32(from + 42),
                  .name = from + CENTRAL_BYTES};
    size_t n_record = CENTRAL_BYTES + r->n_name + r->n_extra + r->n_comment;
    SD_REQUIRE(left >= n_record, BAD_FILE,
               "zip: the directory ends within the record of entry %d at byte %zu", r->index,
               c->at);
    c->at += n_record;
    return SD_OK;
}

static sd_status check_record(const record *r) {
    sd_shown name = sd_show(r->name, r->n_name);
    SD_REQUIRE(r->n_name <= SD_ZIP_MAX_NAME && is_tame(r->name, r->n_name), BAD_FILE,
               "zip: entry %d has the name '%s': not a relative path of at most %d bytes", r->index,
               name.text, SD_ZIP_MAX_NAME);
    SD_REQUIRE((r->flags & FLAG_ENCRYPTED) == 0, BAD_FILE, "zip: entry '%s' is encrypted",
               name.text);
    SD_REQUIRE((r->flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8)) == 0, BAD_FILE,
               "zip: entry '%s' has the flags 0x%04x, not all of which are known", name.text,
               r->flags);
    SD_REQUIRE(r->method == 0, BAD_FILE,
               "zip: entry '%s' is compressed with method %u: only stored entries are read",
               name.text, r->method);
    SD_REQUIRE(r->n_bytes != IN_ZIP64 && r->packed_bytes != IN_ZIP64 && r->offset != IN_ZIP64,
               BAD_FILE, "zip: entry '%s' is zip64, which is not read", name.text);
    SD_REQUIRE(r->n_bytes == r->packed_bytes, BAD_FILE,
               "zip: entry '%s' is stored, but has %u bytes in the archive and %u outside",
               name.text, r->packed_bytes, r->n_bytes);
    return SD_OK;
}

static bool has_sizes(const uint8_t *from, uint32_t crc, uint32_t n_bytes) {
    return u32(from) == crc && u32(from + 4) == n_bytes && u32(from + 8) == n_bytes;
}

/* Does the local header, or the descriptor that it announces, repeat the directory's record? */
static bool does_agree(const record *r, const uint8_t *local, const uint8_t *behind_data) {
    bool is_announced = (r->flags & FLAG_DESCRIPTOR) != 0;
    return u16(local + 6) == r->flags && u16(local + 8) == r->method &&
           (has_sizes(local + 14, r->crc, r->n_bytes) ||
            (is_announced && has_sizes(local + 14, 0, 0))) &&
           u16(local + 26) == r->n_name && memcmp(local + LOCAL_BYTES, r->name, r->n_name) == 0 &&
           (!is_announced || (u32(behind_data) == DESCRIPTOR_MARK &&
                              has_sizes(behind_data + 4, r->crc, r->n_bytes)));
}

static sd_status take_entry(cursor *c, const record *r, sd_zip_entry *entry) {
    sd_shown name = sd_show(r->name, r->n_name);
    size_t left = c->directory - c->entry_at;
    const uint8_t *local = c->bytes + c->entry_at;
    SD_REQUIRE(r->offset == c->entry_at, BAD_FILE,
               "zip: entry '%s' starts at byte %u, but the one before ends at byte %zu", name.text,
               r->offset, c->entry_at);
    SD_REQUIRE(left >= LOCAL_BYTES && u32(local) == LOCAL_MARK, BAD_FILE,
               "zip: entry '%s' has no local header at byte %u", name.text, r->offset);
    size_t n_header = LOCAL_BYTES + u16(local + 26) + u16(local + 28);
    size_t n_descriptor = r->flags & FLAG_DESCRIPTOR ? DESCRIPTOR_BYTES : 0;
    SD_REQUIRE(left >= n_header + r->n_bytes + n_descriptor, BAD_FILE,
               "zip: the %u bytes of entry '%s' reach into the directory", r->n_bytes, name.text);
    const uint8_t *data = local + n_header;
    SD_REQUIRE(does_agree(r, local, data + r->n_bytes), BAD_FILE,
               "zip: the header of entry '%s' at byte %u contradicts the directory", name.text,
               r->offset);
    uint32_t crc = crc32_of(data, r->n_bytes);
    SD_REQUIRE(crc == r->crc, BAD_FILE, "zip: entry '%s' has the CRC %08x, but %08x is written",
               name.text, crc, r->crc);
    *entry = (sd_zip_entry){
        .name = (const char *)r->name, .n_name = r->n_name, .bytes = data, .n_bytes = r->n_bytes};
    c->entry_at += n_header + r->n_bytes + n_descriptor;
    return SD_OK;
}

/* In the first entry's folder, under a name of its own. */
static sd_status check_place(sd_zip *zip, int index) {
    const sd_zip_entry *first = &zip->entry[0], *last = &zip->entry[index];
    sd_shown name = sd_show(last->name, last->n_name);
    const char *slash = memchr(first->name, '/', first->n_name);
    zip->n_folder = slash != NULL ? (size_t)(slash + 1 - first->name) : 0;
    SD_REQUIRE(last->n_name >= zip->n_folder && memcmp(last->name, first->name, zip->n_folder) == 0,
               BAD_FILE, "zip: entry '%s' is not in the folder '%s'", name.text,
               sd_show(first->name, zip->n_folder).text);
    for (int i = 0; i < index; i++) {
        const sd_zip_entry *earlier = &zip->entry[i];
        SD_REQUIRE(earlier->n_name != last->n_name ||
                       memcmp(earlier->name, last->name, last->n_name) != 0,
                   BAD_FILE, "zip: entries %d and %d have the same name '%s'", i, index, name.text);
    }
    return SD_OK;
}

sd_status sd_zip_open(const uint8_t *bytes, size_t n_bytes, sd_zip *zip) {
    cursor c = {0};
    zip->n_folder = 0;
    SD_TRY(find_directory(bytes, n_bytes, &c, &zip->n_entries));
    for (int i = 0; i < zip->n_entries; i++) {
        record r = {.index = i};
        SD_TRY(read_record(&c, &r));
        SD_TRY(check_record(&r));
        SD_TRY(take_entry(&c, &r, &zip->entry[i]));
        SD_TRY(check_place(zip, i));
    }
    SD_REQUIRE(c.at == c.directory_end && c.entry_at == c.directory, BAD_FILE,
               "zip: bytes %zu to %zu and %zu to %zu belong to no entry", c.entry_at, c.directory,
               c.at, c.directory_end);
    return SD_OK;
}

const sd_zip_entry *sd_zip_find(const sd_zip *zip, const char *prefix, const char *name,
                                size_t n_name) {
    size_t n_prefix = strlen(prefix), n_before = zip->n_folder + n_prefix;
    for (int i = 0; i < zip->n_entries; i++) {
        const sd_zip_entry *entry = &zip->entry[i];
        if (entry->n_name == n_before + n_name &&
            memcmp(entry->name + zip->n_folder, prefix, n_prefix) == 0 &&
            memcmp(entry->name + n_before, name, n_name) == 0)
            return entry;
    }
    return NULL;
}
