output "role_arn" {
  description = "For AWS_ROLE_ARN, or the annotation of the account on EKS. Null without web_identity."
  value       = one(aws_iam_role.replicator[*].arn)
}

output "policy_arn" {
  description = "To be attached to another role, or to a user, where there is no web identity."
  value       = aws_iam_policy.replicator.arn
}

output "policy" {
  description = "The policy, as JSON."
  value       = aws_iam_policy.replicator.policy
}

output "notification_queues" {
  description = "By bucket, what `notifications` of the config may name."
  value       = { for name, queue in aws_sqs_queue.notifications : name => queue.arn }
}
