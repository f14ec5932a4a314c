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
//
// # Settings
//
// Measured with itr-mini and 1.29 on two cores of Sapphire Rapids (AVX-512 with
// VNNI) in November 2026, as processor time of one thread; rows are texts of
// 8 to 48 tokens, and 4 images a run.
//
//   - Graph optimisation: all, the default. Extended, which leaves out layouts in
//     blocks of channels, took 1.5 times as long for images, and basic 6 times.
//     Texts gain from neither: what the optimiser misses in them, the exporter
//     fuses.
//   - The arena stays: without it images took 5 % longer, and glibc kept 30 MB more.
//     Shrunk after each run it grew to 2.4 times the memory. One arena for all
//     sessions was no smaller, and 20 MB larger where it grew by what was asked for.
//   - Memory patterns are off: 9 MB less, no time more.
//   - Weights are packed ahead: unpacked, texts took 1.24 and images 2.06 times as
//     long.
//   - Denormals flushed, GELUs approximated, nodes of quantisation cleaned up,
//     initializers allocated on the device: nothing that could be measured.
package runtime
