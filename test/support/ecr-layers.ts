import { randomUUID } from 'node:crypto';
import { digestOf } from '../../core/model/digest.ts';
import { type JsonService, ServiceFault, startJsonService } from './json-service.ts';

const MIB = 1024 * 1024;

export interface EcrLayers extends JsonService {
  /** Layers by repository and digest. */
  layers: Map<string, Buffer>;
  /** What came of each upload, in parts. */
  uploads: Map<string, Buffer[]>;
  /** First and last byte of each part that came, refused ones included. */
  parts: string[];
}

/**
 * The part of ECR's API that uploads layers, by its reference: parts in order and without gaps, of 5 to 20 MiB but for the
 * last one, and a digest that must fit.
 * https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
 * https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html
 */
export async function startEcrLayers(): Promise<EcrLayers> {
  const layers = new Map<string, Buffer>();
  const uploads = new Map<string, Buffer[]>();
  const parts: string[] = [];
  const lengthOf = (upload: Buffer[]) => upload.reduce((sum, { length }) => sum + length, 0);
  const find = ({ uploadId }: Record<string, unknown>) => {
    const upload = uploads.get(String(uploadId));
    if (upload === undefined) throw new ServiceFault('UploadNotFoundException', 400);
    return upload;
  };
  const service = await startJsonService({
    InitiateLayerUpload() {
      const uploadId = randomUUID();
      uploads.set(uploadId, []);
      return { uploadId, partSize: 10 * MIB };
    },
    UploadLayerPart(input) {
      const { uploadId, partFirstByte, partLastByte, layerPartBlob, registryId, repositoryName } = input;
      parts.push(`${partFirstByte}-${partLastByte}`);
      const upload = find(input);
      const part = Buffer.from(String(layerPartBlob), 'base64');
      const [first, last] = [Number(partFirstByte), Number(partLastByte)];
      if (part.length > 20 * MIB || last - first + 1 !== part.length) {
        throw new ServiceFault('InvalidParameterException', 400);
      }
      const lastValidByteReceived = lengthOf(upload) - 1;
      if (first !== lastValidByteReceived + 1) {
        const fields = { registryId, repositoryName, uploadId, lastValidByteReceived };
        throw new ServiceFault('InvalidLayerPartException', 400, fields);
      }
      upload.push(part);
      return { registryId, repositoryName, uploadId, lastByteReceived: last };
    },
    CompleteLayerUpload(input) {
      const { uploadId, repositoryName, layerDigests } = input as { [field: string]: string } & {
        layerDigests: string[];
      };
      const upload = find(input);
      if (upload.length === 0) throw new ServiceFault('EmptyUploadException', 400);
      if (upload.slice(0, -1).some(({ length }) => length < 5 * MIB)) {
        throw new ServiceFault('LayerPartTooSmallException', 400);
      }
      const layer = Buffer.concat(upload);
      const digest = digestOf(layer);
      if (!layerDigests.includes(digest)) throw new ServiceFault('InvalidLayerException', 400);
      const key = `${repositoryName}@${digest}`;
      if (layers.has(key)) throw new ServiceFault('LayerAlreadyExistsException', 400);
      layers.set(key, layer);
      uploads.delete(String(uploadId));
      return { repositoryName, uploadId, layerDigest: digest };
    },
  });
  return { ...service, layers, uploads, parts };
}
