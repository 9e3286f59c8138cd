# The AWS side: the least of permissions, the queues that buckets notify, and who may take the role.
# docs/terraform.md explains it. Nothing that is replicated is managed here, so that destroying this destroys no data.

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  # The actions are those of connectors/aws/permissions.py, which writes the file; a test keeps both equal.
  actions = jsondecode(file("${path.module}/actions.json"))

  partition = data.aws_partition.current.partition
  here      = "${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"

  tables        = [for name in var.tables : "arn:${local.partition}:dynamodb:${local.here}:table/${name}"]
  buckets       = [for name in keys(var.buckets) : "arn:${local.partition}:s3:::${name}"]
  notifications = { for name, bucket in var.buckets : name => bucket.notifications if bucket.notifications != null }
  taken         = [for name in concat(tolist(var.queues), values(local.notifications)) : "arn:${local.partition}:sqs:${local.here}:${name}"]

  resources = {
    ReadTables            = local.tables
    ReadStreams           = [for arn in local.tables : "${arn}/stream/*"]
    ListBuckets           = local.buckets
    ReadObjects           = [for arn in local.buckets : "${arn}/*"]
    TakeMessages          = local.taken
    Decrypt               = tolist(var.keys)
    SwitchMappings        = tolist(lookup(var.switched, "event_source_mapping", []))
    SwitchRules           = tolist(lookup(var.switched, "rule", []))
    SwitchSchedules       = tolist(lookup(var.switched, "schedule", []))
    SwitchNotifications   = tolist(lookup(var.switched, "s3_notification", []))
    PassRolesOfSchedules  = tolist(var.roles_of_schedules)
    KnowConsumersAndRates = ["*"] # these know no narrower resource
  }

  statements = [
    for sid in sort(keys(local.actions)) : merge(
      { Sid = sid, Effect = "Allow", Action = local.actions[sid], Resource = sort(local.resources[sid]) },
      sid == "PassRolesOfSchedules" ? { Condition = { StringEquals = { "iam:PassedToService" = "scheduler.amazonaws.com" } } } : {},
    ) if length(local.resources[sid]) > 0
  ]
}

resource "aws_iam_policy" "replicator" {
  name        = var.name
  description = "What replicator needs to read, and nothing else."
  policy      = jsonencode({ Version = "2012-10-17", Statement = local.statements })
  tags        = var.tags

  lifecycle {
    precondition {
      condition     = length(replace(jsonencode(local.statements), " ", "")) < 6000
      error_message = "The policy is longer than AWS takes: divide the migration, or name resources by patterns."
    }
  }
}
