new EventSource(document.body.dataset.news).onmessage = () => location.reload();
