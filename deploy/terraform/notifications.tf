# A queue for each bucket that has one, which only S3 may send to, and only for that bucket.

resource "aws_sqs_queue" "notifications" {
  for_each = local.notifications

  name                      = each.value
  message_retention_seconds = var.queue_retention_s
  sqs_managed_sse_enabled   = true # with the queue's own key, which S3 may use; alias/aws/sqs it may not
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "notifications" {
  for_each = local.notifications

  queue_url = aws_sqs_queue.notifications[each.key].url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "BucketSends"
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.notifications[each.key].arn
      Condition = {
        ArnEquals    = { "aws:SourceArn" = "arn:${local.partition}:s3:::${each.key}" }
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
      }
    }]
  })
}

resource "aws_s3_bucket_notification" "notifications" {
  for_each = { for name, queue in local.notifications : name => queue if var.buckets[name].wire }

  bucket = each.key

  queue {
    id        = "replicator"
    queue_arn = aws_sqs_queue.notifications[each.key].arn
    events = [
      "s3:ObjectCreated:*",
      "s3:ObjectRemoved:*",
      "s3:LifecycleExpiration:*",
      "s3:ObjectTagging:*",
      "s3:ObjectRestore:*",
      "s3:LifecycleTransition",
    ]
  }

  depends_on = [aws_sqs_queue_policy.notifications] # S3 tries whether it may send
}
