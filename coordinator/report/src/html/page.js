// Chooses one confusion matrix; without this, each can be opened by itself.
(() => {
    const all = [...document.querySelectorAll("details.matrix")];
    if (all.length < 2) return;
    const label = document.createElement("label");
    const select = document.createElement("select");
    label.className = "choice";
    label.append("Configuration ", select);
    all.forEach((matrix, index) => select.add(new Option(matrix.dataset.name, index)));
    const show = () => all.forEach((matrix, index) => {
        matrix.hidden = index !== Number(select.value);
        matrix.open = !matrix.hidden;
    });
    select.addEventListener("change", show);
    all[0].parentElement.prepend(label);
    show();
})();
