"use strict";
{
  const live = document.getElementById("live"), link = document.getElementById("link");
  const source = new EventSource("events");
  source.onmessage = (e) => { live.innerHTML = e.data; link.textContent = "Live."; };
  source.onerror = () => {
    link.textContent = "The connection is lost: this is how it was.";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  };
}
