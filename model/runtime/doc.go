// Package runtime runs ONNX graphs on Go slices, and keeps ONNX Runtime's
// bindings out of everything above it.
//
// Looking for the library that is loaded? Read FindLibrary, and
// fetch-onnxruntime.sh, which puts it there.
// Choosing where graphs run? Read Device and Open.
// Wondering who owns a tensor's memory? Read Tensor.
//
// # Threads
//
// On a CPU every run computes on the goroutine's own thread; who wants more
// cores starts more runs at once. Threads inside a run wait for each other at
// each operator, and spin as they do. On 2 cores that others used too, one run
// of two threads took 1.6 times the processor time of two runs of one thread
// (15.7 and 9.5 ms an image, four images a run), and was no faster without the
// spinning.
package runtime
