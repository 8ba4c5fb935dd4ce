// A table of text. Rows are told apart by their id, so that a refresh changes the cells that have
// changed and nothing else: focus, selection and scroll position stay.
//
// columns : [{key, label, look}]
// rows    : [{id, look, cells: {key: {text, sub, title, look, href, current}}}]
export default {
  template: `
    <table class="list" :aria-label="caption">
      <thead>
        <tr><th v-for="c in columns" :key="c.key" scope="col" :class="['c-' + c.key, c.look]">{{ c.label }}</th></tr>
      </thead>
      <tbody>
        <tr v-for="row in rows" :key="row.id" :class="row.look">
          <td v-for="c in columns" :key="c.key" :data-label="c.label" :class="['c-' + c.key, c.look, row.cells[c.key]?.look]"
              :title="row.cells[c.key]?.title">
            <a v-if="row.cells[c.key]?.href" :href="row.cells[c.key].href" class="row-link"
               :aria-current="row.cells[c.key].current ? 'true' : null">{{ row.cells[c.key].text }}</a>
            <span v-else class="main">{{ row.cells[c.key]?.text }}</span>
            <span v-if="row.cells[c.key]?.sub" class="sub">{{ row.cells[c.key].sub }}</span>
          </td>
        </tr>
      </tbody>
    </table>`,
  props: { caption: String, columns: Array, rows: Array },
};
