/* Stands in for CUDA's header of this name. Its only reader opens cuBLAS with dlopen, which finds
 * the emulated one (cublas.cpp). */
#ifndef EMULATED_LIBRARY_TYPES_H
#define EMULATED_LIBRARY_TYPES_H

#include <dlfcn.h>

enum cudaDataType { CUDA_R_32F = 0, CUDA_R_16BF = 14 };

void *emulated_open_library(const char *name, int flags);
void *emulated_find_function(void *library, const char *name);

#define dlopen emulated_open_library
#define dlsym emulated_find_function

#endif
