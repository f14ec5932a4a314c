// Package arena gives Arrow its memory outside of Go's heap.
//
// A batch's buffers are megabytes that live for a tenth of a second and hold no
// pointers. On Go's heap they would be garbage until the next collection, and
// every one that is in use would let the heap grow by as much again before that.
// Here a buffer that is released is the next one's memory.
//
// What is released must therefore not be looked at any more: package arenatest
// makes tests fail that do.
package arena
