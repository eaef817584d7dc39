import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { openBridge, toFailure } from './bridge';
import { startI18n } from './i18n';
import { ErrorState } from './kit';
import './theme/global.css';

const element = document.getElementById('root');
if (!element) throw new Error('index.html has no #root');
const root = createRoot(element);

async function start(): Promise<void> {
  await startI18n();
  try {
    await openBridge();
  } catch (thrown) {
    root.render(<ErrorState failure={toFailure(thrown)} />);
    return;
  }
  root.render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}

void start();
