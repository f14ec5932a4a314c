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
// each operator, and with few cores that costs more than it gives: of 2 cores,
// two runs of one thread get more out than one run of two
// (BenchmarkThreads in package model measures it).
package runtime
