// Package collect chooses the pairs that go into the data set for
// re-pre-training: a sample of the stream, richer in what the model doubts and in what is
// new to it, with the probability of each choice, so that it can be weighed back.
//
// Asking why a pair was chosen, or was not? Read chance, then Process.
// Adding a reason to leave a pair out? Read Skip.
// Wondering how an image says that it must not be used? Read Reserved.
//
// Choosing is pure: whether a pair is chosen depends on its result and the
// configuration alone, so a replay chooses the same (invariant 6). Who keeps the
// images meanwhile, and where they go, is the pipeline's business.
package collect
