/* Small functions that the CUDA part shares with the library are compiled for the card, too. */
#ifndef SPECDEC_CORE_DEVICE_CODE_H
#define SPECDEC_CORE_DEVICE_CODE_H

#ifdef __CUDACC__
#define SD_HOST_DEVICE __host__ __device__
#else
#define SD_HOST_DEVICE
#endif

#endif
