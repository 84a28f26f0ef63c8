import { asGroupId, type GroupId } from '../log/types.ts'

/** The Raft group that keeps the cluster's own state. */
export const METADATA_GROUP: GroupId = asGroupId(0)
