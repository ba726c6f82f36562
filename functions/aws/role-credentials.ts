/**
 * Takes the place of the SDK's `credential-provider-node` in the bundles of functions: the credentials of a function's role,
 * which Lambda puts into its environment. An environment keeps its first ones as long as it lives, and they outlive it.
 */
export const defaultProvider = () => async () => {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = process.env;
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
  const error = new Error('the environment of the function has no credentials');
  error.name = 'CredentialsProviderError';
  throw error;
};
