variable "name" {
  description = "Name of the role and of its policy."
  type        = string
  default     = "replicator"
}

variable "tables" {
  description = "Names of the DynamoDB tables that are replicated, in the provider's account and region."
  type        = set(string)
  default     = []
}

variable "turn_on_streams" {
  description = "Tables of `tables` whose stream is to be turned on, by the AWS CLI, which must be installed. It is never turned off again."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for table in var.turn_on_streams : contains(var.tables, table)])
    error_message = "turn_on_streams may only name tables that are in tables."
  }
}

variable "buckets" {
  description = <<-EOT
    The S3 buckets that are replicated, by name. `notifications` names the queue that is made for their events; null
    makes none, and the daemon then finds changes by listing alone. `wire` makes the bucket send its events there: this
    REPLACES the bucket's whole notification configuration, so set it to false where there is one, and add the queue to
    it as docs/connectors/s3-to-blob.md shows.
  EOT
  type = map(object({
    notifications = optional(string)
    wire          = optional(bool, true)
  }))
  default = {}

  validation {
    condition = length(distinct([for bucket in var.buckets : bucket.notifications if bucket.notifications != null])) == length([
      for bucket in var.buckets : bucket.notifications if bucket.notifications != null
    ])
    error_message = "Each bucket needs a queue of its own: no two may have the same notifications."
  }
}

variable "queues" {
  description = "Names of the SQS queues that are replicated, in the provider's account and region."
  type        = set(string)
  default     = []
}

variable "keys" {
  description = "ARNs of the KMS keys of your own with which queues and objects are encrypted."
  type        = set(string)
  default     = []
}

variable "switched" {
  description = "ARNs of what the triggers of the config switch, by their type: event_source_mapping, rule, schedule, s3_notification."
  type        = map(set(string))
  default     = {}

  validation {
    condition = alltrue([
      for kind in keys(var.switched) : contains(["event_source_mapping", "rule", "schedule", "s3_notification"], kind)
    ])
    error_message = "switched knows event_source_mapping, rule, schedule and s3_notification."
  }
}

variable "roles_of_schedules" {
  description = "ARNs of the roles that the switched schedules run as."
  type        = set(string)
  default     = []
}

variable "web_identity" {
  description = <<-EOT
    Whose tokens may take the role: the cluster's issuer (its URL), and the account of the daemon as
    `system:serviceaccount:NAMESPACE:NAME`. `create_provider` makes the issuer known to AWS: an AKS cluster needs that
    once, an EKS cluster often has it already. Null makes no role, only the policy.
  EOT
  type = object({
    issuer          = string
    subject         = optional(string, "system:serviceaccount:replicator:replicator")
    audience        = optional(string, "sts.amazonaws.com")
    create_provider = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.web_identity == null || can(regex("^https://", var.web_identity.issuer))
    error_message = "The issuer is a URL that begins with https://."
  }
}

variable "queue_retention_s" {
  description = "How long the queues of notifications keep an event, in seconds. 14 days is the most there is."
  type        = number
  default     = 1209600
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
