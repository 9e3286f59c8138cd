# Who may be the daemon: the account of a cluster, in AWS or elsewhere, by tokens that the cluster signs. No keys.

locals {
  issuer   = var.web_identity == null ? "" : trimprefix(var.web_identity.issuer, "https://") # a slash at its end belongs to it
  provider = "arn:${local.partition}:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${local.issuer}"
}

resource "aws_iam_openid_connect_provider" "cluster" {
  count = try(var.web_identity.create_provider, false) ? 1 : 0

  url            = var.web_identity.issuer
  client_id_list = [var.web_identity.audience]
  tags           = var.tags
}

resource "aws_iam_role" "replicator" {
  count = var.web_identity == null ? 0 : 1

  name                 = var.name
  description          = "Replicator, as ${var.web_identity.subject}."
  max_session_duration = 3600
  tags                 = var.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = try(aws_iam_openid_connect_provider.cluster[0].arn, local.provider) }
      Condition = {
        StringEquals = {
          "${local.issuer}:sub" = var.web_identity.subject
          "${local.issuer}:aud" = var.web_identity.audience
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "replicator" {
  count = var.web_identity == null ? 0 : 1

  role       = aws_iam_role.replicator[0].name
  policy_arn = aws_iam_policy.replicator.arn
}
