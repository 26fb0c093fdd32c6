import {
  type DBCluster,
  type DBInstance,
  paginateDescribeDBClusters,
  paginateDescribeDBInstances,
  RDSClient,
  type Tag,
} from '@aws-sdk/client-rds'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import type { Described, Rds } from './fleet.ts'

/** The account and region to ask; undefined for the AWS command line's own defaults. */
export type Place = { profile?: string; region?: string }

/**
 * Reads all instances and clusters of a region.
 * @throws SlotkeeperError of kind `credentials`
 */
export async function readRds(place: Place): Promise<Rds> {
  const client = new RDSClient(place)
  try {
    const instances: Described[] = []
    const clusters: Described[] = []
    for await (const { DBInstances = [] } of paginateDescribeDBInstances({ client }, {})) {
      instances.push(...DBInstances.map(instanceOf))
    }
    for await (const { DBClusters = [] } of paginateDescribeDBClusters({ client }, {})) {
      clusters.push(...DBClusters.map(clusterOf))
    }
    return { instances, clusters }
  } catch (error) {
    throw new SlotkeeperError(
      'credentials',
      `RDS did not list its servers: ${messageOf(error)}. Check --profile and --region, and the permissions rds:DescribeDBInstances and rds:DescribeDBClusters.`,
      { cause: error },
    )
  } finally {
    client.destroy()
  }
}

function instanceOf(instance: DBInstance): Described {
  return {
    id: instance.DBInstanceIdentifier ?? '',
    engine: instance.Engine ?? '',
    host: instance.Endpoint?.Address,
    port: instance.Endpoint?.Port,
    resourceId: instance.DbiResourceId,
    arn: instance.DBInstanceArn,
    status: instance.DBInstanceStatus,
    iamEnabled: instance.IAMDatabaseAuthenticationEnabled === true,
    tags: tagsOf(instance.TagList),
  }
}

function clusterOf(cluster: DBCluster): Described {
  return {
    id: cluster.DBClusterIdentifier ?? '',
    engine: cluster.Engine ?? '',
    host: cluster.Endpoint,
    port: cluster.Port,
    resourceId: cluster.DbClusterResourceId,
    arn: cluster.DBClusterArn,
    status: cluster.Status,
    iamEnabled: cluster.IAMDatabaseAuthenticationEnabled === true,
    leastCapacity: cluster.ServerlessV2ScalingConfiguration?.MinCapacity,
    tags: tagsOf(cluster.TagList),
  }
}

function tagsOf(tags: Tag[] = []): Described['tags'] {
  return tags.map(({ Key = '', Value = '' }) => ({ key: Key, value: Value }))
}
