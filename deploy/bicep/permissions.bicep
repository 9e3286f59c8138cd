// What the daemon's identity may do: data-plane roles, each on the one container, database or queue that is meant.

param principalId string
param blobContainers array
param storageAccountName string
param cosmosDatabase string
param cosmosAccountName string
param serviceBusQueues array
param serviceBusName string
param stateAccountName string
param stateContainer string

var roles = loadJsonContent('roles.json')
var definitions = 'Microsoft.Authorization/roleDefinitions'

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = if (!empty(blobContainers)) {
  name: storageAccountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = if (!empty(blobContainers)) {
  parent: storage
  name: 'default'
}

resource targets 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [
  for container in blobContainers: {
    parent: blobs
    name: container
  }
]

resource writesBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (container, index) in blobContainers: {
    name: guid(storageAccountName, container, principalId, roles['Storage Blob Data Owner'])
    scope: targets[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(definitions, roles['Storage Blob Data Owner'])
    }
  }
]

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2024-05-15' existing = if (!empty(cosmosDatabase)) {
  name: cosmosAccountName
}

resource writesDocuments 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-05-15' = if (!empty(cosmosDatabase)) {
  parent: cosmos
  name: guid(cosmosAccountName, cosmosDatabase, principalId)
  properties: {
    principalId: principalId
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${roles['Cosmos DB Built-in Data Contributor']}'
    scope: '${cosmos.id}/dbs/${cosmosDatabase}'
  }
}

resource bus 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' existing = if (!empty(serviceBusQueues)) {
  name: serviceBusName
}

resource queues 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' existing = [
  for queue in serviceBusQueues: {
    parent: bus
    name: queue
  }
]

resource sendsMessages 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, index) in serviceBusQueues: {
    name: guid(serviceBusName, queue, principalId, roles['Azure Service Bus Data Sender'])
    scope: queues[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(definitions, roles['Azure Service Bus Data Sender'])
    }
  }
]

resource stateAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: stateAccountName
}

resource stateBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: stateAccount
  name: 'default'
}

resource state 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: stateBlobs
  name: stateContainer
  properties: {
    publicAccess: 'None'
  }
}

resource keepsState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(stateAccountName, stateContainer, principalId, roles['Storage Blob Data Contributor'])
  scope: state
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(definitions, roles['Storage Blob Data Contributor'])
  }
}
