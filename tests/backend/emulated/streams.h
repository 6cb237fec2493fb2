/* Work that waits in streams. */
#ifndef EMULATED_STREAMS_H
#define EMULATED_STREAMS_H

#include <cuda_runtime.h>

/* At the stream's end, or into what is being captured. */
cudaError_t emulated_enqueue(cudaStream_t stream, std::function<void()> work);
/* The same for a kernel, whose configuration is checked at once. */
cudaError_t emulated_enqueue_launch(cudaStream_t stream, emulated_launch launch);
/* Runs all that waits anywhere. */
void emulated_run_all();
/* Notes and returns what a function of the runtime ends with. */
cudaError_t emulated_end(cudaError_t error);
/* cudaSuccess, or what every call returns since the device broke. */
cudaError_t emulated_sticky();
/* The same for calls that a capture by this thread forbids and that end the capture. */
cudaError_t emulated_outside_capture();

#endif
