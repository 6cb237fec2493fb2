/* A hub id is an "org/name", with "@revision" after it if another than main is meant. What is in
 * the local hub cache is used as it is; only what is not there is asked of huggingface_hub. */
#include "python/hub.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REVISION_DEFAULT "main"
#define NAME_BYTES 97 /* of an organisation, a model or a revision, with the zero */
#define PATH_BYTES 4096

typedef struct {
    char organisation[NAME_BYTES], name[NAME_BYTES], revision[NAME_BYTES];
} hub_id;

static bool is_name(const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-", text[i]) == NULL)
            return false;
    return n > 0 && text[0] != '.' && strstr(text, "..") == NULL;
}

static bool take_part(char to[NAME_BYTES], const char *from, size_t n) {
    if (n >= NAME_BYTES)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return is_name(to);
}

static bool parse_id(const char *text, hub_id *id) {
    const char *slash = strchr(text, '/'), *at = strchr(text, '@');
    size_t n = at != NULL ? (size_t)(at - text) : strlen(text);
    if (slash == NULL || slash >= text + n)
        return false;
    const char *revision = at != NULL ? at + 1 : REVISION_DEFAULT;
    return take_part(id->organisation, text, (size_t)(slash - text)) &&
           take_part(id->name, slash + 1, (size_t)(text + n - slash - 1)) &&
           take_part(id->revision, revision, strlen(revision));
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The hub cache's own folder; "" if nothing says where it is. */
static void find_cache(char path[PATH_BYTES]) {
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/huggingface/hub"}};
    path[0] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = getenv(places[i].variable);
        if (value == NULL || value[0] == '\0')
            continue;
        if (PyOS_snprintf(path, PATH_BYTES, "%s%s", value, places[i].below) >= PATH_BYTES)
            path[0] = '\0';
        return;
    }
}

/* What a branch or tag points to, as the cache has it; a commit stands for itself. */
static bool resolve(const char *repository, const char *revision, char commit[NAME_BYTES]) {
    char path[PATH_BYTES];
    uint8_t *bytes;
    size_t n_bytes;
    if (PyOS_snprintf(path, PATH_BYTES, "%s/refs/%s", repository, revision) >= PATH_BYTES)
        return false;
    if (sd_file_read(path, NAME_BYTES, &bytes, &n_bytes) != SD_OK)
        return take_part(commit, revision, strlen(revision));
    while (n_bytes > 0 && isspace(bytes[n_bytes - 1]))
        n_bytes--;
    bool is_good = take_part(commit, (const char *)bytes, n_bytes);
    sd_free(bytes);
    return is_good;
}

/* The snapshot in the cache, as far as it has a config.json. */
static PyObject *find_snapshot(const hub_id *id) {
    char cache[PATH_BYTES], repository[PATH_BYTES], commit[NAME_BYTES], folder[PATH_BYTES];
    char config[PATH_BYTES + 16];
    find_cache(cache);
    if (cache[0] == '\0' ||
        PyOS_snprintf(repository, PATH_BYTES, "%s/models--%s--%s", cache, id->organisation,
                      id->name) >= PATH_BYTES ||
        !resolve(repository, id->revision, commit) ||
        PyOS_snprintf(folder, PATH_BYTES, "%s/snapshots/%s", repository, commit) >= PATH_BYTES)
        return NULL;
    PyOS_snprintf(config, sizeof config, "%s/config.json", folder);
    return sd_file_is_there(config) ? PyBytes_FromString(folder) : NULL;
}

/* huggingface_hub.snapshot_download(...), of the files that a model is made of. */
static PyObject *download(const hub_id *id) {
    PyObject *hub = PyImport_ImportModule("huggingface_hub"), *folder = NULL, *bytes = NULL;
    PyObject *repository = PyUnicode_FromFormat("%s/%s", id->organisation, id->name);
    PyObject *arguments = Py_BuildValue("(O)", repository);
    PyObject *options =
        Py_BuildValue("{s:s,s:[s,s,s,s]}", "revision", id->revision, "allow_patterns", "*.json",
                      "*.safetensors", "tokenizer*", "*.jinja");
    PyObject *function = hub != NULL ? PyObject_GetAttrString(hub, "snapshot_download") : NULL;
    if (function != NULL && arguments != NULL && options != NULL)
        folder = PyObject_Call(function, arguments, options);
    if (folder != NULL && !PyUnicode_FSConverter(folder, &bytes))
        bytes = NULL;
    Py_XDECREF(function);
    Py_XDECREF(options);
    Py_XDECREF(arguments);
    Py_XDECREF(repository);
    Py_XDECREF(folder);
    Py_XDECREF(hub);
    return bytes;
}

static PyObject *fetch(PyObject *path, const hub_id *id) {
    PyObject *folder = find_snapshot(id);
    if (folder != NULL)
        return folder;
    folder = download(id);
    if (folder == NULL && PyErr_ExceptionMatches(PyExc_ImportError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_FileNotFoundError,
                     "%R is neither a folder nor a model in the local hub cache; to download it, "
                     "pip install huggingface_hub",
                     path);
    }
    return folder;
}

PyObject *sd_py_model_folder(PyObject *path) {
    PyObject *bytes;
    hub_id id;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    if (is_folder(PyBytes_AS_STRING(bytes)))
        return bytes;
    bool is_id = PyUnicode_Check(path) && parse_id(PyBytes_AS_STRING(bytes), &id);
    Py_DECREF(bytes);
    if (is_id)
        return fetch(path, &id);
    PyErr_Format(PyExc_FileNotFoundError,
                 "%R is no folder with a model, nor a hub id like 'org/name'", path);
    return NULL;
}
