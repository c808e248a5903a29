pub fn story() {
    todo!()
}
