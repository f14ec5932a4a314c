package txn

import (
	"fmt"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
)

// Error is a broker's refusal of one request. errors.Is and errors.As find the
// code as a kafkago.Error.
type Error struct {
	Request string // as the protocol calls it
	ID      string // the transactional id
	Code    kafkago.Error
}

// Error names the code as the protocol does.
func (e *Error) Error() string {
	return fmt.Sprintf("%s for transactional id %s: %s (error %d)", e.Request, e.ID, Name(e.Code), int(e.Code))
}

// Unwrap returns the code.
func (e *Error) Unwrap() error { return e.Code }

// TransactionAbortable is a code that kafka-go does not know yet (KIP-890).
const TransactionAbortable kafkago.Error = 120

// names are those codes that kafka-go titles otherwise than the protocol does.
var names = map[kafkago.Error]string{
	kafkago.GroupLoadInProgress:                "COORDINATOR_LOAD_IN_PROGRESS",
	kafkago.GroupCoordinatorNotAvailable:       "COORDINATOR_NOT_AVAILABLE",
	kafkago.NotCoordinatorForGroup:             "NOT_COORDINATOR",
	kafkago.NotLeaderForPartition:              "NOT_LEADER_OR_FOLLOWER",
	kafkago.InvalidTransactionState:            "INVALID_TXN_STATE",
	kafkago.InvalidProducerIDMapping:           "INVALID_PRODUCER_ID_MAPPING",
	kafkago.TransactionalIDAuthorizationFailed: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
	kafkago.TransactionalIDNotFound:            "TRANSACTIONAL_ID_NOT_FOUND",
	kafkago.UnknownProducerId:                  "UNKNOWN_PRODUCER_ID",
	kafkago.UnknownMemberId:                    "UNKNOWN_MEMBER_ID",
	TransactionAbortable:                       "TRANSACTION_ABORTABLE",
}

// Name returns what the protocol calls a code.
func Name(code kafkago.Error) string {
	if n, ok := names[code]; ok {
		return n
	}
	if title := code.Title(); title != "" {
		return strings.ToUpper(strings.ReplaceAll(title, " ", "_"))
	}
	return "UNKNOWN"
}

// later reports whether the broker has refused a request only for now, which
// it therefore has not carried out: the coordinator still ends the transaction before, is
// loading, or has moved, or topics are so new that it does not know them.
func later(code kafkago.Error) bool {
	switch code { //nolint:exhaustive // all others are final
	case kafkago.ConcurrentTransactions,
		kafkago.GroupLoadInProgress, kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup,
		kafkago.RequestTimedOut, kafkago.NetworkException, kafkago.KafkaStorageError,
		kafkago.UnknownTopicOrPartition, kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend:
		return true
	}
	return false
}
