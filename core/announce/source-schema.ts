import { dialectNames } from './dialect-name.ts';

const text = { type: 'string', minLength: 1 } as const;
/** One, or the old and the new one while it is changed. */
const oneOrTwo = { ...text, type: ['string', 'array'], items: text, minItems: 1, maxItems: 2 } as const;
const login = {
  type: 'object',
  properties: { username: text, password: text },
  required: ['username', 'password'],
  additionalProperties: false,
} as const;

/** JSON schema of one source in a webhooks file. */
export const sourceSchema = {
  type: 'object',
  properties: {
    dialect: { enum: dialectNames },
    token: oneOrTwo,
    registry: text,
    repositories: { type: 'object', additionalProperties: text, minProperties: 1 },
    allow: { type: 'array', items: text, minItems: 1 },
    ownActors: { type: 'array', items: text },
    hmac: oneOrTwo,
    bearer: oneOrTwo,
    header: { type: 'object', additionalProperties: oneOrTwo, minProperties: 1, maxProperties: 1 },
    basic: { ...login, type: ['object', 'array'], items: login, minItems: 1, maxItems: 2 },
    google: {
      type: 'object',
      properties: { audience: text, email: text },
      required: ['audience', 'email'],
      additionalProperties: false,
    },
    sns: {
      type: 'array',
      items: { title: 'the ARN of a topic', type: 'string', pattern: '^arn:aws[a-z-]*:sns:' },
      minItems: 1,
    },
  },
  required: ['dialect'],
  additionalProperties: false,
} as const;

type OneOrTwo = string | string[];
type Login = { username: string; password: string };

/** What the schema lets through. */
export interface SourceEntry {
  dialect: (typeof dialectNames)[number];
  token?: OneOrTwo;
  registry?: string;
  repositories?: Record<string, string>;
  allow?: string[];
  ownActors?: string[];
  hmac?: OneOrTwo;
  bearer?: OneOrTwo;
  header?: Record<string, OneOrTwo>;
  basic?: Login | Login[];
  google?: { audience: string; email: string };
  sns?: string[];
}

/** The keys that say how a sender proves who it is. */
export const authKeys = ['hmac', 'bearer', 'header', 'basic', 'google', 'sns'] as const;
