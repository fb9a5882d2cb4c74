// A worker on one queue, over StreamMessages. It says on standard output what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"baton.example/worker/queuev1"
)

type request = queuev1.StreamMessagesRequest

func main() {
	address, queue := os.Args[1], os.Args[2]
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	if err := beRefused(queuev1.NewQueueServiceClient(connection)); err != nil {
		log.Fatal(err)
	}
	if err := work(queuev1.NewConsumerServiceClient(connection), queue); err != nil {
		log.Fatal(err)
	}
}

func beRefused(queues queuev1.QueueServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := queues.GetQueue(ctx, &queuev1.GetQueueRequest{Name: "nowhere"})
	refusal := status.Convert(err)
	for _, detail := range refusal.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			fmt.Println("refused", int(refusal.Code()), info.Reason, info.Metadata["queue"])
			return nil
		}
	}
	return fmt.Errorf("no ErrorInfo in %w", err)
}

type task struct {
	text    string
	attempt int32
}

func work(consumer queuev1.ConsumerServiceClient, queue string) error {
	stream, err := consumer.StreamMessages(context.Background())
	if err != nil {
		return err
	}
	// Only one goroutine may send on a stream, and this one does.
	received, ended := make(chan *queuev1.StreamMessagesResponse), make(chan error, 1)
	go receive(stream, received, ended)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)

	settling, sequence := map[int64]task{}, int64(0)
	send := func(message *request) error {
		sequence++
		message.Sequence = sequence
		return stream.Send(message)
	}
	if err := send(opening(queue)); err != nil {
		return err
	}
	for {
		select {
		case <-terminated:
			if err := errors.Join(send(&request{Request: &queuev1.StreamMessagesRequest_Drain_{}}), stream.CloseSend()); err != nil {
				return err
			}
		case err := <-ended:
			if err == io.EOF {
				fmt.Println("ended", 0)
				return nil
			}
			return err
		case response := <-received:
			for _, leased := range response.GetBatch().GetMessages() {
				action := settlement(leased)
				if action == nil {
					fmt.Println("holds", leased.Message.GetText())
					continue
				}
				settlements := &queuev1.StreamMessagesRequest_Settle{Settlements: []*queuev1.Settlement{action}}
				if err := send(&request{Request: &queuev1.StreamMessagesRequest_Settle_{Settle: settlements}}); err != nil {
					return err
				}
				settling[sequence] = task{leased.Message.GetText(), leased.Attempt}
			}
			for _, result := range response.GetSettled().GetResults() {
				done := settling[response.Sequence]
				fmt.Println("settled", done.text, done.attempt, result.Outcome)
			}
			if notice := response.GetNotice(); notice != nil {
				fmt.Println("notice", notice.Kind, notice.Status.GetMessage())
			}
		}
	}
}

func receive(stream queuev1.ConsumerService_StreamMessagesClient, received chan<- *queuev1.StreamMessagesResponse, ended chan<- error) {
	for {
		response, err := stream.Recv()
		if err != nil {
			ended <- err
			return
		}
		received <- response
	}
}

func opening(queue string) *request {
	return &request{Request: &queuev1.StreamMessagesRequest_Open_{Open: &queuev1.StreamMessagesRequest_Open{
		Queue:            queue,
		ConsumerInstance: "go",
		KeepLeases:       true,
		MaxBatchTimeout:  durationpb.New(0),
		FlowControl:      &queuev1.StreamMessagesRequest_FlowControl{MaxOutstandingMessages: proto.Int32(2)},
	}}}
}

// settlement is what becomes of a message by its text, nil for one that is held to the end.
func settlement(leased *queuev1.LeasedMessage) *queuev1.Settlement {
	decided := &queuev1.Settlement{LeaseId: leased.LeaseId}
	switch text := leased.Message.GetText(); {
	case text == "held":
		return nil
	case text == "hopeless":
		decided.Action = &queuev1.Settlement_Reject{Reject: &queuev1.Reject{Code: "HOPELESS"}}
	case text == "failing" && leased.Attempt == 1:
		retry := &queuev1.Retry{Delay: durationpb.New(200 * time.Millisecond), Code: "AGAIN"}
		decided.Action = &queuev1.Settlement_Retry{Retry: retry}
	default:
		decided.Action = &queuev1.Settlement_Ack{}
	}
	return decided
}
