import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [react()],
  base: './',
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  build: {
    // Safari 16 is what WebKitGTK of Debian 12 understands.
    target: 'safari16',
    chunkSizeWarningLimit: 1200,
    // The content security policy allows data: for images only.
    assetsInlineLimit: 0,
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
    // A build machine may be busy with other things.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
