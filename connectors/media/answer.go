package media

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	stage "github.com/itrstream/itrstream/stages/media"
)

// judgeStatus returns where a redirect leads, "" for an image.
func judgeStatus(resp *http.Response) (location string, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return "", nil
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if location = resp.Header.Get("Location"); location == "" {
			return "", &statusError{status(resp) + ", a redirect to nowhere"}
		}
		return location, nil
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "", &busyError{
			err: fmt.Errorf("the host answered %s", status(resp)), after: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		}
	}
	return "", &statusError{status(resp)}
}

// reserved reports whether a host reserves the use that re-pre-training is: by robots directives that image hosts have come to
// use, whichever robot they name, or by the TDM Reservation Protocol (W3C community group report, 2024).
func reserved(h http.Header) bool {
	for _, value := range h.Values("X-Robots-Tag") {
		for directive := range strings.SplitSeq(value, ",") {
			_, after, named := strings.Cut(directive, ":")
			if named {
				directive = after
			}
			switch strings.ToLower(strings.TrimSpace(directive)) {
			case "noai", "noimageai":
				return true
			}
		}
	}
	return strings.TrimSpace(h.Get("TDM-Reservation")) == "1"
}

// status is in our words: the host's are foreign text.
func status(resp *http.Response) string {
	return fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	// Beyond its range it gives the largest number, which is right.
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// retriable marks the errors of a request without an answer that may pass. A name that doesn't exist, a certificate that
// doesn't fit and a refusal of ours will be the same the next time.
func retriable(err error) error {
	var refusal *stage.Failure
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refusal), errors.As(err, &certificate), errors.As(err, &dns) && dns.IsNotFound:
		return err
	}
	return &busyError{err: err}
}
