"""The user's files on one side, Requests and answers on the other. Everything is read and written as a stream."""
