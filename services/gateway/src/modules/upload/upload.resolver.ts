import { Arg, Args, Ctx, ID, Mutation, Query, Resolver } from 'type-graphql';
import type { UploadFileStatus } from '@roentgen/domain';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import { UploadFileStatusEnum } from '../../graphql/enums.js';
import type { RequestContext } from '../../graphql/request-context.js';
import type { UploadService } from './upload-service.js';
import { AddUploadFilesInput, CompleteUploadInput, CreateUploadInput } from './upload.input.js';
import {
  AddUploadFilesPayload,
  CompleteUploadPayload,
  CreateUploadPayload,
  UploadFileConnection,
  UploadType,
  type UploadFileType,
} from './upload.type.js';

@Resolver()
export class UploadResolver {
  constructor(private readonly service: UploadService) {}

  @Allow('dataset:read')
  @Query(() => UploadType)
  upload(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<UploadType> {
    return this.service.read(actor, id);
  }

  @Allow('dataset:read')
  @Query(() => UploadFileConnection, { description: 'In the order in which they were added.' })
  uploadFiles(
    @Arg('uploadId', () => ID) uploadId: string,
    @Arg('status', () => UploadFileStatusEnum, { nullable: true }) status: UploadFileStatus | null | undefined,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { actor }: RequestContext,
  ): Promise<Connection<UploadFileType>> {
    return this.service.files(actor, uploadId, status ?? null, page);
  }

  @Allow('upload:write')
  @Mutation(() => CreateUploadPayload)
  createUpload(
    @Arg('input', () => CreateUploadInput) input: CreateUploadInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<CreateUploadPayload> {
    return this.service.create(actor, input);
  }

  @Allow('upload:write')
  @Mutation(() => AddUploadFilesPayload, { description: 'Announces files and tells where to send each one.' })
  addUploadFiles(
    @Arg('input', () => AddUploadFilesInput) input: AddUploadFilesInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<AddUploadFilesPayload> {
    return this.service.addFiles(actor, input);
  }

  @Allow('upload:write')
  @Mutation(() => CompleteUploadPayload, { description: 'All files are sent: workers inspect them, then the upload is READY.' })
  completeUpload(
    @Arg('input', () => CompleteUploadInput) input: CompleteUploadInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<CompleteUploadPayload> {
    return this.service.complete(actor, input);
  }
}
