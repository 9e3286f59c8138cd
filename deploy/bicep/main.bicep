// One daemon in Azure Container Apps, with an identity that may do what it needs and nothing else.
// docs/azure-container-apps.md explains it. The targets are made beforehand, in this resource group.

@description('Name of the app and of everything beside it.')
@minLength(2)
@maxLength(32)
param name string = 'replicator'

param location string = resourceGroup().location

@description('The image, with its version: registry.azurecr.io/replicator:0.1.0')
param image string

@description('Name of the Azure Container Registry in this resource group that has the image; empty for a public one.')
param registryName string = ''

@description('The text of the config file, as of loadTextContent. Its state store must be in Blob Storage: there is no disk.')
@secure()
param config string

@description('For http.token of the config, as REPLICATOR_TOKEN: who may change something.')
@secure()
@minLength(16)
param token string

@description('Access key of an AWS user with the policy of deploy/terraform, and its secret.')
@secure()
param awsAccessKeyId string
@secure()
param awsSecretAccessKey string
param awsRegion string

@description('Replicas that run at once. One works; the others stand by, since those of an app do not reach each other.')
@minValue(1)
@maxValue(10)
param replicas int = 1

@description('Id of the subnet for the environment, delegated to Microsoft.App/environments, from where private endpoints are reached; empty for a network of its own.')
param subnetId string = ''

@description('Containers of blobs that are written, that of the markers too. With storageAccountName.')
param blobContainers array = []
param storageAccountName string = ''

@description('Database that is written, with cosmosAccountName.')
param cosmosDatabase string = ''
param cosmosAccountName string = ''

@description('Service Bus queues that are sent to. With serviceBusName.')
param serviceBusQueues array = []
param serviceBusName string = ''

@description('Account for the state, and the container in it, which is made. No other container of it is written.')
param stateAccountName string
param stateContainer string = 'replicator-state'

@description('How long logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

module permissions 'permissions.bicep' = {
  name: '${name}-permissions'
  params: {
    principalId: identity.properties.principalId
    blobContainers: blobContainers
    storageAccountName: storageAccountName
    cosmosDatabase: cosmosDatabase
    cosmosAccountName: cosmosAccountName
    serviceBusQueues: serviceBusQueues
    serviceBusName: serviceBusName
    stateAccountName: stateAccountName
    stateContainer: stateContainer
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = if (!empty(registryName)) {
  name: registryName
}

resource pull 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(registryName)) {
  name: guid(registryName, name, acrPull)
  scope: registry
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logRetentionDays
  }
}

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: name
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logs.properties.customerId
        sharedKey: logs.listKeys().primarySharedKey
      }
    }
    vnetConfiguration: empty(subnetId) ? null : {
      infrastructureSubnetId: subnetId
      internal: true
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

resource app 'Microsoft.App/containerApps@2024-03-01' = {
  name: name
  location: location
  dependsOn: [
    permissions
    pull
  ]
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: false
        allowInsecure: false
        targetPort: 8080
        transport: 'http'
      }
      registries: empty(registryName) ? [] : [
        {
          server: registry!.properties.loginServer
          identity: identity.id
        }
      ]
      secrets: [
        {
          name: 'config'
          value: config
        }
        {
          name: 'token'
          value: token
        }
        {
          name: 'aws-access-key-id'
          value: awsAccessKeyId
        }
        {
          name: 'aws-secret-access-key'
          value: awsSecretAccessKey
        }
      ]
    }
    template: {
      terminationGracePeriodSeconds: 60
      containers: [
        {
          name: 'replicator'
          image: image
          args: [
            'run'
            '/etc/replicator/migration.yaml'
          ]
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: [
            {
              name: 'REPLICATOR_TOKEN'
              secretRef: 'token'
            }
            {
              name: 'AZURE_CLIENT_ID'
              value: identity.properties.clientId
            }
            {
              name: 'AWS_REGION'
              value: awsRegion
            }
            {
              name: 'AWS_ACCESS_KEY_ID'
              secretRef: 'aws-access-key-id'
            }
            {
              name: 'AWS_SECRET_ACCESS_KEY'
              secretRef: 'aws-secret-access-key'
            }
          ]
          probes: [
            {
              type: 'Startup'
              periodSeconds: 5
              failureThreshold: 24
              httpGet: {
                path: '/healthz'
                port: 8080
              }
            }
            {
              type: 'Liveness'
              periodSeconds: 10
              timeoutSeconds: 5
              failureThreshold: 6
              httpGet: {
                path: '/healthz'
                port: 8080
              }
            }
            {
              type: 'Readiness'
              periodSeconds: 5
              timeoutSeconds: 5
              httpGet: {
                path: '/healthz'
                port: 8080
              }
            }
          ]
          volumeMounts: [
            {
              volumeName: 'config'
              mountPath: '/etc/replicator'
            }
          ]
        }
      ]
      scale: {
        minReplicas: replicas
        maxReplicas: replicas
      }
      volumes: [
        {
          name: 'config'
          storageType: 'Secret'
          secrets: [
            {
              secretRef: 'config'
              path: 'migration.yaml'
            }
          ]
        }
      ]
    }
  }
}

@description('Object id of the identity, for further assignments.')
output principalId string = identity.properties.principalId

@description('Where the HTTP interface is, inside the network.')
output url string = 'https://${app.properties.configuration.ingress.fqdn}'
