"""What Faust needs of a transport, asked of the embedded log and of Apache Kafka by the same tests."""
