/* What this library's own symbols tell: the names of kernels, and where static __shared__ arrays
 * are, for to C++ these are static variables of functions. */
#include <cstdlib>
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <map>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <cuda_runtime.h>

struct extent {
    char *begin;
    size_t bytes;
};

static std::map<const void *, std::string> *functions;
static std::vector<extent> *shared_arrays;

static bool begins_with(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static void read_symbols(const char *file, char *base, const Elf64_Shdr *sections,
                         const Elf64_Shdr *table) {
    const Elf64_Sym *symbols = reinterpret_cast<const Elf64_Sym *>(file + table->sh_offset);
    const char *strings = file + sections[table->sh_link].sh_offset;
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const Elf64_Sym *s = &symbols[i];
        const char *name = strings + s->st_name;
        if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_shndx != SHN_UNDEF)
            (*functions)[base + s->st_value] = name;
        if (ELF64_ST_TYPE(s->st_info) == STT_OBJECT && begins_with(name, "_ZZ") &&
            s->st_shndx < SHN_LORESERVE && sections[s->st_shndx].sh_type == SHT_NOBITS)
            shared_arrays->push_back({base + s->st_value, s->st_size});
    }
}

static void read_library() {
    Dl_info self;
    struct stat status;
    functions = new std::map<const void *, std::string>();
    shared_arrays = new std::vector<extent>();
    if (dladdr(reinterpret_cast<const void *>(emulated_name), &self) == 0)
        emulated_die("this library does not find itself");
    int descriptor = open(self.dli_fname, O_RDONLY);
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        emulated_die("this library cannot be read: %s", self.dli_fname);
    size_t bytes = (size_t)status.st_size;
    void *memory = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (memory == MAP_FAILED)
        emulated_die("this library cannot be read: %s", self.dli_fname);
    const char *file = static_cast<const char *>(memory);
    const Elf64_Ehdr *header = reinterpret_cast<const Elf64_Ehdr *>(file);
    const Elf64_Shdr *sections = reinterpret_cast<const Elf64_Shdr *>(file + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB)
            read_symbols(file, static_cast<char *>(self.dli_fbase), sections, &sections[i]);
    munmap(memory, bytes);
    if (functions->empty())
        emulated_die("this library is stripped: its __shared__ arrays cannot be found");
}

const char *emulated_name(const void *kernel) {
    if (functions == NULL)
        read_library();
    auto found = functions->find(kernel);
    if (found == functions->end())
        return "a kernel";
    char *readable = abi::__cxa_demangle(found->second.c_str(), NULL, NULL, NULL);
    return readable != NULL ? readable : found->second.c_str();
}

void emulated_forget_static_shared() {
    if (functions == NULL)
        read_library();
    for (const extent &e : *shared_arrays)
        emulated_fill_unwritten(e.begin, e.bytes);
}
