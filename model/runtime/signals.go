package runtime

/*
#include <signal.h>
#include <string.h>

static struct sigaction saved[NSIG];

static void save_signals(void) {
	memset(saved, 0, sizeof saved);
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, NULL, &saved[sig]);
}

static void restore_signals(void) {
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction now;
		memset(&now, 0, sizeof now);
		if (sigaction(sig, NULL, &now) == 0 && now.sa_sigaction != saved[sig].sa_sigaction)
			sigaction(sig, &saved[sig], NULL);
	}
}
*/
import "C"

import "sync"

var signals sync.Mutex

// keepSignals runs f and puts back every signal handler that f replaced.
//
// CUDA installs handlers of its own when it starts, without SA_ONSTACK: the
// next signal, Ctrl-C say, would then reach Go's runtime on a thread without a
// Go stack and end the process by a panic instead of a shutdown.
func keepSignals(f func() error) error {
	signals.Lock()
	defer signals.Unlock()
	C.save_signals()
	defer C.restore_signals()
	return f()
}
