# A stream is a setting of its table, and the tables are not managed here, so it is turned on by a command.

resource "terraform_data" "stream" {
  for_each = var.turn_on_streams

  input = each.key

  provisioner "local-exec" {
    command = "aws dynamodb update-table --table-name \"$TABLE\" --region \"$REGION\" --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    environment = {
      TABLE  = each.key
      REGION = data.aws_region.current.name
    }
  }
}

data "aws_dynamodb_table" "replicated" {
  for_each = setsubtract(var.tables, var.turn_on_streams)

  name = each.key
}

# A warning, not an error: a table that is only copied needs no stream.
check "streams" {
  assert {
    condition = alltrue([
      for table in data.aws_dynamodb_table.replicated :
      table.stream_enabled && contains(["NEW_IMAGE", "NEW_AND_OLD_IMAGES"], table.stream_view_type)
    ])
    error_message = "These tables have no stream with new images, and can only be copied: ${join(", ", [
      for table in data.aws_dynamodb_table.replicated : table.name
      if !(table.stream_enabled && contains(["NEW_IMAGE", "NEW_AND_OLD_IMAGES"], table.stream_view_type))
    ])}."
  }
}
